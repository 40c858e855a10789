# What happens on the throw-away machine after `init`. Told by `stage`: `first` hands the agent jobs, `second` hands it
# nothing. Both times the jobs must answer, and have the limits they should.
export LONGSHORE_ADDR=unix:///data/longshore/api.sock HOME=/tmp
longshore agent --config /etc/agent.hcl --data-dir /data/longshore > /data/agent-$stage.log 2>&1 &
agent=$!

# The body a task serves.
page() {
  printf 'GET / HTTP/1.0\r\nHost: vm\r\n\r\n' | nc -w 5 127.0.0.1 "$1" > /tmp/page && head -n 1 /tmp/page | grep -q ' 200 ' && tail -n 1 /tmp/page
}

# The child that left the session of the task with a root of its own.
child() {
  for process in /proc/[0-9]*; do
    tr '\0' ' ' < $process/cmdline 2> /dev/null | grep -q '^sleep 98765' && echo ${process#/proc/}
  done
}

# Its version 2 group, as the kernel tells it.
group() {
  echo /sys/fs/cgroup$(cut -d: -f3 /proc/$(child)/cgroup)
}

# Whether the task that eats memory was killed for it, as its allocation tells.
killed() {
  longshore alloc status "$(sed -n 's,^ *\([0-9a-f]*\)/t .*,\1,p' /tmp/hungry | head -n 1)" | grep 'OOM Killed'
}

limits() {
  dir=$(group)
  cat $dir/memory.max $dir/memory.low $dir/memory.swap.max $dir/cpu.weight | tr '\n' ' '
}

patiently longshore job status
if [ "$stage" = first ]; then
  longshore job run /jobs/exec.nomad.hcl || give_up "the raw_exec job was not run"
  longshore job run /jobs/component.nomad.hcl || give_up "the wasm job was not run"
  longshore job run /jobs/apart.nomad.hcl || give_up "the exec job was not run"
fi
patiently page 8081
patiently page 8082
patiently page 8083
echo "EXEC $(page 8081)"
echo "APART $(page 8083) $(limits)"
echo "COMPONENT $(page 8082)"
if [ "$stage" = second ]; then
  # It may be killed before or after it is said to run.
  longshore job run /jobs/hungry.nomad.hcl > /tmp/hungry 2>&1
  patiently killed
  echo "OOM $(grep -o 'OOM Killed' /tmp/last | head -n 1)"
  dir=$(group)
  longshore job stop apart || give_up "the exec job was not stopped"
  echo "STOPPED $(child | wc -l) $(ls -d $dir 2> /dev/null | wc -l)"
fi
echo "READY"
# The power goes while all runs.
sleep 600
