#!/bin/sh
# run.sh BCLUA [options of busted]: the cases of spec/cluster/slurm.lua on a cluster that is this machine, with a
# network and processes of its own: no port is taken, and what still lives at the end the kernel ends. Status 77:
# skipped, nothing was tested.

skip() {
	echo "cluster-test: skipped, nothing was tested: $*" >&2
	exit 77
}

lacks=''
for name in munged slurmctld slurmd sbatch srun mpirun unshare ip; do
	PATH=$PATH:/usr/sbin:/sbin command -v $name >/dev/null || lacks="$lacks $name"
done
[ -z "$lacks" ] || skip "these programs are missing (make cluster-deps):$lacks"
[ "$(id -u)" = 0 ] || skip 'slurmd needs root'
own='unshare --net --pid --fork --mount-proc --kill-child'
why=$($own sh -c 'ip link set lo up && ip addr add 10.77.0.1/32 dev lo' 2>&1) ||
	skip "no network and processes of our own here: $why"
# Slurm wants something to be mounted there; where a container has nothing, an empty folder will do.
exec $own sh -c 'mountpoint -q /sys/fs/cgroup || mount -t tmpfs none /sys/fs/cgroup
	ip link set lo up && ip addr add 10.77.0.1/32 dev lo && "$0" spec/run.lua "$@" spec/cluster/slurm.lua' "$@"
