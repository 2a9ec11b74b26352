"""Text that would run, load or mislead if a page took it for markup; `window.__ran` says that something ran."""

from __future__ import annotations

SENTINEL = "window.__ran = true"
HOSTILE = [
    f"<script>{SENTINEL}</script>",
    f"<img src=x onerror='{SENTINEL}'>",
    f"<svg onload='{SENTINEL}'>",
    "<iframe srcdoc='<script>parent.__ran = true</script>'></iframe>",
    f"javascript:{SENTINEL}",
    f"<a href='javascript:{SENTINEL}'>click</a>",
    "![x](http://evil.test/x.png)",
    "[see the contract](http://evil.test/?q=secret)",
    "[x]: http://evil.test/x\n![x][x]",
    "<img src='http://evil.test/x.png'><link rel=stylesheet href='http://evil.test/x.css'>",
    "<style>@import 'http://evil.test/x.css'; body { background: url(http://evil.test/y) }</style>",
    "<video poster='http://evil.test/p'><source srcset='http://evil.test/s'></video>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "<base href='http://evil.test/'><form action='http://evil.test/'><input autofocus onfocus='window.__ran=true'>",
    f"'\"><body onload='{SENTINEL}'>{{{{constructor.constructor('{SENTINEL}')()}}}}",
    f"</script><script>{SENTINEL}</script><style>*{{color:red}}",
    "\x1b]52;c;aGk=\x07\x1b[2J\u202egnp.exe\u2066",
]
FORBIDDEN = ("\x1b", "\x07", "\u202e", "\u2066")
