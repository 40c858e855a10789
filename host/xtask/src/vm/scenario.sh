# What happens on the throw-away machine after `init`. Told by `stage`: `first` hands the agent two jobs, `second`
# hands it nothing. Both times the jobs must answer.
export LONGSHORE_ADDR=unix:///data/longshore/api.sock HOME=/tmp
longshore agent --config /etc/agent.hcl --data-dir /data/longshore > /data/agent-$stage.log 2>&1 &
agent=$!

give_up() {
  echo "--- agent"
  tail -n 40 /data/agent-$stage.log
  echo "FAILED: $*"
  sleep 5
  poweroff -f
}

# Tries a command twice a second, for two minutes.
patiently() {
  tries=0
  until "$@" > /tmp/last 2>&1; do
    tries=$((tries + 1))
    kill -0 $agent 2> /dev/null || give_up "the agent ended"
    [ $tries -lt 240 ] || give_up "$* still fails: $(cat /tmp/last)"
    sleep 0.5
  done
}

# The body a task serves.
page() {
  printf 'GET / HTTP/1.0\r\nHost: vm\r\n\r\n' | nc -w 5 127.0.0.1 "$1" > /tmp/page && head -n 1 /tmp/page | grep -q ' 200 ' && tail -n 1 /tmp/page
}

patiently longshore job status
if [ "$stage" = first ]; then
  longshore job run /jobs/exec.nomad.hcl || give_up "the raw_exec job was not run"
  longshore job run /jobs/component.nomad.hcl || give_up "the wasm job was not run"
fi
patiently page 8081
patiently page 8082
echo "EXEC $(page 8081)"
echo "COMPONENT $(page 8082)"
echo "READY"
# The power goes while all runs.
sleep 600
