# A stop is obeyed after a while, signals for nothing else are ignored.
trap 'kill $! 2> /dev/null; sleep "$MOCK_KILL_AFTER"; exit 0' INT TERM
trap '' HUP USR1 USR2
say() {
  printf %s "$MOCK_STDOUT"
  printf %s "$MOCK_STDERR" >&2
}
# In the background: a shell heeds a signal at once only while it waits.
rest() {
  sleep "$1" &
  wait $!
}
say
while [ "$MOCK_REPEAT" -gt 0 ]; do
  rest "$MOCK_REPEAT_AFTER"
  say
  MOCK_REPEAT=$((MOCK_REPEAT - 1))
done
rest "$MOCK_RUN_FOR"
if [ "$MOCK_EXIT_SIGNAL" -gt 0 ]; then
  trap - INT TERM HUP USR1 USR2
  kill -"$MOCK_EXIT_SIGNAL" $$
fi
exit "$MOCK_EXIT_CODE"
