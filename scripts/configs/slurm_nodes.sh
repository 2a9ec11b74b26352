#!/bin/bash
# Two trainer nodes in shards (FSDP2) and one node that samples: sbatch scripts/configs/slurm_nodes.sh
# An example that was never submitted here. The project's folder must be on a disk that all nodes see: checkpoints,
# a warm start and the published weights are read from it. Mail crosses the cluster's private network to the sampling
# node, whose server must not be reachable from outside. Nothing is requeued here: submit it again to go on.
#SBATCH --job-name=mailsleuth
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --mem=512G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail
CONFIG=${CONFIG:-scripts/configs/qwen7b.toml}
export PATH="$PWD/.venv-gpu/bin:$PATH" HF_HUB_OFFLINE=1

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
sampler=${nodes[0]} first=${nodes[1]}
trainers=$(IFS=,; echo "${nodes[*]:1}")

srun --nodes 1 --ntasks 1 --nodelist "$sampler" env CUDA_VISIBLE_DEVICES=0 \
  mailsleuth serve --config "$CONFIG" --host "$sampler" --run > server.log 2>&1 &
server=$!
until curl --silent --fail --max-time 5 "http://$sampler:8000/health"; do
  kill -0 $server # ends the job when the server has ended
  sleep 5
done

resume=$(test -d data/runs/qwen7b && echo --resume || true)
# One torchrun for each node; they meet at the first trainer, and the job's number keeps them apart from other jobs'.
srun --nodes 2 --ntasks 2 --ntasks-per-node 1 --nodelist "$trainers" \
  torchrun --nnodes 2 --nproc-per-node 8 --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$first:29500" \
  -m scripts.train_email_agent --config "$CONFIG" \
  --set grpo.strategy=shard --set "sampling.servers=[\"http://$sampler:8000\"]" $resume &
trainer=$!
trap 'kill -TERM $trainer' TERM
code=0
wait $trainer || code=$?
kill -0 $trainer 2> /dev/null && { wait $trainer || code=$?; } # the signal interrupted the waiting, not the run
kill $server
exit $code
