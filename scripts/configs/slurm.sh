#!/bin/bash
# Two trainer GPUs and one sampling GPU on one node: sbatch scripts/configs/slurm.sh (from the project's folder)
# An example that was never submitted here. A node that is taken back sends SIGTERM; the run saves, ends and is requeued.
#SBATCH --job-name=mailsleuth
#SBATCH --nodes=1
#SBATCH --gpus-per-node=3
#SBATCH --cpus-per-task=16
#SBATCH --mem=128G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
set -euo pipefail
CONFIG=${CONFIG:-scripts/configs/qwen7b.toml}
export PATH="$PWD/.venv-gpu/bin:$PATH" HF_HUB_OFFLINE=1

CUDA_VISIBLE_DEVICES=2 mailsleuth serve --config "$CONFIG" --run > server.log 2>&1 &
server=$!
until curl --silent --fail --max-time 5 http://127.0.0.1:8000/health; do sleep 5; done

resume=$(test -d data/runs/qwen7b && echo --resume || true)
# Several nodes, in shards: scripts/configs/slurm_nodes.sh
CUDA_VISIBLE_DEVICES=0,1 torchrun --nproc-per-node 2 -m scripts.train_email_agent --config "$CONFIG" $resume &
trainer=$!
is_taken_back=
trap 'is_taken_back=1; kill -TERM $trainer' TERM
code=0
wait $trainer || code=$?
if [[ $is_taken_back ]]; then # the signal interrupted the waiting, not the run, which saves now
  wait $trainer || true
  kill $server
  exec scontrol requeue "$SLURM_JOB_ID"
fi
kill $server
exit $code
