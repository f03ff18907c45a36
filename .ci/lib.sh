# Shared by run and long; sourced, not run.

# Without this, a command that fails inside $(…) goes unnoticed.
shopt -s inherit_errexit

step() { printf '\n=== %s (%s)\n' "$1" "$(date -u +%H:%M:%SZ)"; }

# need_race makes sure that go test -race can link: it wants a C compiler.
need_race() {
  command -v gcc >/dev/null && return
  local as=()
  [ "$(id -u)" = 0 ] || as=(sudo)
  "${as[@]}" apt-get update -qq
  "${as[@]}" apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
}

# kills N runs the test that kills a station N times at random instants and
# looks for what was accepted and lost.
kills() {
  local found
  found=$(go test -list '^TestKill' ./internal/cli)
  if ! grep -q '^TestKill' <<<"$found"; then
    echo "no TestKill in internal/cli: the kill loop would test nothing" >&2
    return 1
  fi
  HERALD_KILLS=$1 go test -count=1 -run '^TestKill' -timeout "${2:-15m}" -v ./internal/cli
}

# fuzz_targets prints "package target" for every fuzz target there is.
fuzz_targets() {
  local pkg list
  for pkg in $(go list ./...); do
    list=$(go test -list '^Fuzz' "$pkg")
    grep '^Fuzz' <<<"$list" | sed "s|^|$pkg |" || true
  done
}

# fuzz SECONDS TARGETS fuzzes each of the targets, and adds what was executed
# to fuzz_execs. Go's fuzzer sometimes reports its own deadline as a failure
# ("context deadline exceeded", without an input that fails); such a run is
# repeated once. An input that is merely new is made smaller in few steps: by
# default that may take a minute, which then counts as the deadline's failure.
fuzz_execs=0
fuzz() {
  local pkg target out try n
  while read -r pkg target; do
    for try in 1 2; do
      if out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "${1}s" -fuzzminimizetime 10x "$pkg" 2>&1); then
        break
      fi
      if [ $try = 2 ] || ! grep -q 'context deadline exceeded' <<<"$out" || grep -q 'Failing input' <<<"$out"; then
        printf '%s\n' "$out"
        echo "fuzzing $pkg $target failed" >&2
        return 1
      fi
    done
    n=$(grep -o 'execs: [0-9]*' <<<"$out" | tail -n1 | cut -d' ' -f2)
    if [ "${n:-0}" = 0 ]; then
      printf '%s\n' "$out"
      echo "fuzzing $pkg $target executed nothing" >&2
      return 1
    fi
    fuzz_execs=$((fuzz_execs + n))
    printf '%-36s %-32s %10d execs\n' "${pkg#herald/}" "$target" "$n"
  done <<<"$2"
}
