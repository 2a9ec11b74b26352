"""Invented names of people, projects, towns and places, and the split each name belongs to.

A name's split follows from a hash of its lower-case letters, so names of different splits are disjoint
whatever the seeds are. Knows nothing of mails or questions.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Literal

Split = Literal["train", "dev", "test", "vocabulary"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test", "vocabulary")

_FIRST = (
    "Ada Adrian Aisha Alma Amir Anders Andrea Anita Anton Arlo Astrid Basil Beatrix Benno Bianca Birgit "
    "Boris Bruno Camila Carl Carmen Cecil Celia Chandra Chloe Clara Conrad Cora Cyrus Dagmar Dalia "
    "Damian Daria Delia Dennis Diego Dina Dora Edgar Edith Elena Elias Elsa Emil Enzo Erika Esther Eva "
    "Fabian Farid Felix Fiona Flora Frida Gemma Gerda Gideon Gina Greta Gustav Hakim Hanna Harvey Hector "
    "Heidi Helga Hugo Ida Igor Ines Ingrid Irene Ivan Jana Jasper Joan Jonas Jorge Judith Julia Kamil "
    "Karin Kasper Kira Klaus Lara Lars Leah Leon Lidia Linus Lionel Livia Lorenz Lotte Lucia Luis Magda "
    "Malik Manon Marek Margot Marta Mateo Matilda Max Mina Mira Moritz Nadia Naomi Nestor Nils Nina Noel "
    "Nora Olaf Olga Omar Oscar Otto Pablo Paula Pedro Petra Philip Pia Priya Quentin Rafael Ramona Rania "
    "Renate Rita Robin Roland Rosa Ruben Ruth Sabine Samir Sandra Selma Sergei Silvia Simon Sofia Stella "
    "Sven Tamara Tariq Tessa Theo Tilda Tobias Ulla Ulrich Uma Vera Victor Viola Walter Wanda Wendel "
    "Xenia Yara Yusuf Yvonne Zara Zeno"
).split()
_ONSETS = "b br c cl d dr f fl g gr h j k kr l m n p pl pr qu r s sh sk sl st t th tr v w z".split()
_VOWELS = "a e i o u a e i o ai ea ie oa ou".split()
_CODAS = "l n r s m t k nd rn st ck lt sk x".split()
_ENDINGS: dict[str, tuple[str, ...]] = {
    "surname": ("en", "er", "is", "ow", "ard", "ell", "ini", "ov", "ez", "man", "sen", "ek", "aro", "wick"),
    "project": ("a", "or", "ix", "on", "ium", "ara", "is", "et", "ane", "io", "us", "eo"),
    "town": ("ford", "bury", "haven", "stad", "ville", "mouth", "berg", "by", "ton", "minster"),
    "place": ("ette", "ano", "ova", "elle", "ina", "ora", "ay", "ino", "osa"),
}


def split_of(name: str) -> Split:
    """Return the only split in which this name may occur."""
    bucket = hashlib.sha256(name.lower().encode()).digest()[0] % 10
    return "train" if bucket < 5 else "dev" if bucket < 6 else "test" if bucket < 8 else "vocabulary"


class NamePool:
    """Draws names that are new to this pool and belong to its split."""

    def __init__(self, split: Split, random: Random) -> None:
        self._split, self._random = split, random
        self._used: set[str] = set()
        self._first = [name for name in _FIRST if split_of(name) == split]

    def first_name(self) -> str:
        """Return a first name; people may share one."""
        return self._random.choice(self._first)

    def invent(self, sort: str) -> str:
        """Return an unused capitalised word with the ending of `sort`: surname, project, town or place."""
        while True:
            word = self._word(_ENDINGS[sort])
            if word not in self._used and split_of(word) == self._split:
                self._used.add(word)
                return word

    def _word(self, endings: tuple[str, ...]) -> str:
        choice = self._random.choice
        middle = choice(_CODAS) if self._random.random() < 0.6 else choice(_CODAS) + choice(_VOWELS) + choice("lnrtdmv")
        return (choice(_ONSETS) + choice(_VOWELS) + middle + choice(endings)).capitalize()
