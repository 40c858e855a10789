# For scenarios: to wait, and to say why one has to give up. The agent's process is in `agent`.

give_up() {
  for log in /data/*-$stage.log; do
    echo "--- $log"
    tail -n 40 $log
  done
  echo "FAILED: $*"
  sleep 5
  poweroff -f
}

# Tries a command twice a second, for two minutes.
patiently() {
  tries=0
  until "$@" > /tmp/last 2>&1; do
    tries=$((tries + 1))
    [ -z "$agent" ] || kill -0 $agent 2> /dev/null || give_up "the agent ended"
    [ $tries -lt 240 ] || give_up "$* still fails: $(cat /tmp/last)"
    sleep 0.5
  done
}
