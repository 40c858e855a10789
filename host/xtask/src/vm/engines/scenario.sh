# What happens on the throw-away machine after `init`: Docker, Podman and an agent run under version 2 of control
# groups, jobs are given to both engines, and the console is told what kernel and engines say of their containers.
export LONGSHORE_ADDR=unix:///data/longshore/api.sock HOME=/tmp

# An engine, in a group of its own as on every other machine: in the topmost one Docker takes swap for unlimited. One
# that gives up is started again: when the real machine is busy, Docker finds its containerd too slow.
engine() {
  (echo 0 > /sys/fs/cgroup/engines/cgroup.procs && while :; do "$@"; sleep 1; done) > /data/$1-$stage.log 2>&1 &
}

start_agent() {
  longshore agent --config /etc/$1.hcl --data-dir /data/longshore >> /data/agent-$stage.log 2>&1 &
  agent=$!
  patiently longshore job status
}

run() {
  patiently longshore job run --detach /jobs/$1.nomad.hcl
}

# Finds the container of a task by the engine's own word, and notes whose it is and where the kernel limits it.
found() {
  note=/tmp/$1-$2
  set -- $($1 inspect -f '{{.State.Pid}} {{.Name}} {{.Id}}' $($1 ps -q --filter name=$2))
  [ "$1" -gt 0 ] && echo /sys/fs/cgroup$(cut -d: -f3 /proc/$1/cgroup) > $note.group || return 1
  echo ${2#*-} > $note.alloc
  echo "$1 $3" > $note.process
}

# What the kernel holds it to.
limit() {
  group=$(cat /tmp/$1-$2.group)
  shift 2
  for file in "$@"; do
    cat $group/$file
  done | tr '\n' ' '
}

are_on() {
  for engine in docker podman; do
    [ "$(limit $engine shared cpuset.cpus.effective)" = "$1 " ] || return 1
  done
}

# The container that eats its memory may be gone before anybody finds it.
out_of_memory() {
  alloc=$(longshore job status hungry-$1 | sed -n 's,^\([0-9a-f]\{8\}\) .*,\1,p')
  longshore alloc status $alloc | grep -o 'Exit Message: .*'
}

# It says three lines.
has_spoken() {
  longshore alloc logs $(cat /tmp/docker-privileged.alloc) > /tmp/spoken && [ $(wc -l < /tmp/spoken) = 3 ]
}

# No container is left, nor a group of one.
is_empty() {
  [ -z "$($1 ps -aq)" ] && [ -z "$(ls -d $(cat /tmp/$1-*.group) 2> /dev/null)" ]
}

mkdir -p /etc/docker /var/tmp /var/lib/containers /sys/fs/cgroup/engines /image/bin /image/mnt
ln -s /run /var/run
echo '+cpuset +cpu +memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
engine dockerd --data-root /data/docker --bridge=none --iptables=false
engine podman system service --time=0 unix:///run/podman.sock
start_agent refusing
cp /bin/busybox /image/bin/ && busybox --install -s /image/bin && tar -C /image -cf /image.tar .
patiently podman import /image.tar localhost/busybox:1
patiently docker import /image.tar busybox:1

longshore job run /jobs/privileged.nomad.hcl > /tmp/said 2>&1
echo "REFUSED $? $(grep -o allow_privileged /tmp/said | head -n 1)"

# Whose core it is, others leave it, whatever their engine.
for engine in docker podman; do
  run shared-$engine
  run pinned-$engine
done
for engine in docker podman; do
  patiently found $engine shared
  echo "LIMITS $engine $(limit $engine shared memory.max memory.low memory.swap.max cpu.weight cpu.max)"
  # Percentages are over the time since somebody looked before.
  longshore alloc status --stats $(cat /tmp/$engine-shared.alloc) > /tmp/said
done
echo "MHZ $(longshore node status --json | sed -n 's/.*"cpu.totalcompute": *"\([0-9]*\)".*/\1/p')"
echo "PLAIN $(grep CapEff /proc/$(cut -d' ' -f1 /tmp/docker-shared.process)/status)"

for engine in docker podman; do
  patiently found $engine pinned
  echo "PINNED $engine $(limit $engine pinned cpuset.cpus cpu.weight)"
done
patiently are_on 0
for engine in docker podman; do
  longshore job stop --purge --detach pinned-$engine > /tmp/said 2>&1 || give_up "pinned-$engine was not stopped"
  run hungry-$engine
done
patiently are_on 0-2
echo "MOVED"
for engine in docker podman; do
  echo "STATS $engine $(longshore alloc status --stats --json $(cat /tmp/$engine-shared.alloc) | tr -d '\n')"
  patiently out_of_memory $engine
  echo "OOM $engine $(cat /tmp/last)"
done

kill $agent && wait $agent
start_agent allowing
run privileged
patiently found docker privileged
patiently has_spoken
echo "PRIVILEGED $(tr '\n' ' ' < /tmp/spoken)"
peer=$(docker run -d --privileged --network none busybox:1 sleep 9999)
echo "PEER $(grep CapEff /proc/$(docker inspect -f '{{.State.Pid}}' $peer)/status)"
docker rm -f $peer > /tmp/said
cat /tmp/*-shared.process > /tmp/before
for engine in docker podman; do
  found $engine shared
done
echo "KEPT $(cat /tmp/*-shared.process | cmp - /tmp/before && echo both)"

for job in privileged shared-docker shared-podman hungry-docker hungry-podman; do
  longshore job stop --purge --detach $job > /tmp/said 2>&1 || give_up "$job was not stopped"
done
patiently is_empty docker
patiently is_empty podman
echo "EMPTY"
sleep 600
