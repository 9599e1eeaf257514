#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The program `tulle` as a person or a script meets it: exit statuses, messages, files, JSON.
#
#   tests/program/cli.sh PROGRAM        from the repository's root; prints TAP, fails where any line is "not ok"
set -u

program=$1
case $program in /*) ;; *) program=$PWD/$program ;; esac
data=$PWD/tests/data
compare=$PWD/tools/compare_npy.py
reference=$PWD/tests/program/cli_reference.py
variants=$PWD/shaders/variants.def
work=$(mktemp -d)
# the program's cache here, and not in the user's folder; Mesa's stays where it is
export MESA_SHADER_CACHE_DIR="${MESA_SHADER_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}}" XDG_CACHE_HOME="$work/kept"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
cd "$work" || exit 1

tests=0 failures=0

ok() {
  tests=$((tests + 1))
  echo "ok $tests - $1"
}

not_ok() {
  tests=$((tests + 1))
  failures=$((failures + 1))
  echo "not ok $tests - $1"
  shift
  for line in "$@"; do echo "#   $line"; done
  sed 's/^/#   stderr: /' err | head -5
}

# Runs the program; leaves its status, out and err.
tulle() {
  status=0
  "$program" "$@" >out 2>err </dev/null || status=$?
}

# wants TITLE STATUS STDERR-PATTERN ARG ...: runs it, compares the status and greps in what it says.
wants() {
  title=$1 expected=$2 says=$3
  shift 3
  tulle "$@"
  if [ "$status" != "$expected" ]; then
    not_ok "$title" "status $status, wanted $expected: tulle $*"
  elif [ -n "$says" ] && ! grep -q -e "$says" err; then
    not_ok "$title" "'$says' is not on standard error: tulle $*"
  elif [ "$expected" != 0 ] && [ -s out ]; then
    not_ok "$title" "an error printed on standard output: tulle $*"
  elif [ "$expected" != 0 ] && [ "$(wc -l <err)" -gt 2 ]; then
    not_ok "$title" "more than a message and a hint: tulle $*"
  else
    ok "$title"
  fi
}

# check TITLE COMMAND ...: the command decides.
check() {
  title=$1
  shift
  if "$@" >check.out 2>&1; then ok "$title"; else not_ok "$title" "failed: $*" "$(head -c 300 check.out)"; fi
}

fields() {
  for field in "$@"; do
    grep -q "\"$field\":" out || {
      echo "no field $field"
      return 1
    }
  done
}

# npy FILE DESCR SHAPE: a .npy file of what standard input has.
npy() {
  header="{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"
  {
    printf '\223NUMPY\001\000'
    # shellcheck disable=SC2059  # the octal escape is the format
    printf "\\$(printf %o "${#header}")\\000"
    printf '%s' "$header"
    cat
  } >"$1"
}

zeros() { head -c "$1" /dev/zero; }

no_leftovers() { [ -z "$(find . -name '*.tulle-*' | head -1)" ]; }

qkv="--q $data/q.npy --k $data/k.npy --v $data/v.npy"
pattern=window:256,256+global:1

# ---------------------------------------------------------------------------------------------------------------------
# Help and usage

tulle --version
check "--version" grep -qx 'tulle [0-9]*\.[0-9]*\.[0-9]*' out
for command in '' run show info bench compare report tune; do
  # shellcheck disable=SC2086  # no word where it is empty
  tulle $command --help
  check "tulle $command --help" test "$status" = 0
  check "tulle $command --help tells of exit statuses" grep -q '^Exit status: 0' out
done
for command in run show info bench compare report tune; do
  tulle "$command" --help
  # every option of the help text is known to the parser, and says so by not being "unrecognized"; the second
  # --no-such-option is for those that take the first as their argument
  missing=
  grep -o -e '--[a-z][a-z-]*' out | sort -u >options
  while read -r option; do
    "$program" "$command" "$option" --no-such-option --no-such-option >/dev/null 2>err </dev/null
    if grep -q "option '$option'$\|unrecognized option '$option'" err; then missing="$missing $option"; fi
  done <options
  check "each option in tulle $command --help exists" test -z "$missing"
done
wants "no command" 2 "no command"
wants "an unknown command" 2 "'dance' is not a command" dance
wants "an unknown option" 2 "no-such-option" run --no-such-option
wants "a stray argument" 2 "'stray' belongs to no option" info stray
wants "an option without its argument" 2 "requires an argument" run --q
wants "a missing input" 2 "--q is missing" run
# shellcheck disable=SC2086  # one word an argument, here and below
{
  wants "a missing output" 2 "-o is missing" run $qkv --pattern dense
  wants "a missing pattern" 2 "--pattern is missing" run $qkv -o o.npy
  for number in '' x 1x ' 1' 99999999999999999999 -1 0; do
    wants "--repeat '$number'" 2 "--repeat is '$number'" run $qkv -o o.npy --pattern dense --repeat "$number"
  done
  for number in '' x inf nan 1e999 1e-60 ' 1' 1,5; do
    wants "--scale '$number'" 2 "--scale is '$number'" run $qkv -o o.npy --pattern dense --scale "$number"
  done
  for number in 1e-50 -1e-50 1e-400 1e-40; do
    wants "--scale $number" 2 "--scale is '$number': too small for fp32; a number of a size from 1.17" run $qkv -o o.npy --pattern dense --scale $number
  done
  wants "--softcap 1e39" 2 "'1e39': too large for fp32; .* not negative, .* to 3.40" run $qkv -o o.npy --pattern dense --softcap 1e39
  wants "--softcap -1" 2 "--softcap is '-1'" run $qkv -o o.npy --pattern dense --softcap -1
  wants "--layout hbsd" 2 "--layout is 'hbsd'" run $qkv -o o.npy --pattern dense --layout hbsd
}
wants "show without SPEC" 2 "SPEC is missing" show --q-len 4
wants "show without lengths" 2 "--q-len and --kv-len are missing" show dense
wants "show with --q alone" 2 "--q is given without --k" show dense --q q.npy
for option in '--scale 2' '--softcap 3' '--layout bshd'; do
  # shellcheck disable=SC2086
  wants "show with ${option% *} but no weights" 2 "${option% *} is given without --q and --k" show dense --q-len 4 $option
done
for name in a.jpg png '' a.png.gz; do
  wants "show -o '$name'" 2 "-o is '$name'; a name that ends in .png" show dense --q-len 4 -o "$name"
done
wants "bench with a shape but no pattern" 2 "no --pattern" bench --q-len 64
wants "bench with more specs than heads" 2 "holds 3 specs .* there are 2 heads" bench --pattern 'dense;window:1,0;sink:2' --q-len 64 --heads 2
wants "bench --dtype fp8" 2 "--dtype is 'fp8'" bench --pattern dense --q-len 64 --dtype fp8
wants "tune --dtype fp8" 2 "--dtype is 'fp8'" tune --dtype fp8
wants "tune --phase all" 2 "--phase is 'all'; prefill or few-rows is wanted" tune --phase all
wants "tune --head-dim 577" 2 "--head-dim is '577'" tune --head-dim 577
wants "info --all alone" 2 "--all goes with --kernels" info --all

# ---------------------------------------------------------------------------------------------------------------------
# run: real data

# shellcheck disable=SC2086
{
  wants "run on real data" 0 "^pairs " run $qkv -o o.npy --lse lse.npy --pattern "$pattern"
  if command -v python3 >python.path; then
    check "its O is right" python3 "$compare" o.npy "$data/o.npy" 2e-3
    check "its LSE is right" python3 "$compare" lse.npy "$data/lse.npy" 2e-3
  else
    echo "# skip: no python3 to compare arrays with"
  fi
  tulle run $qkv -o o2.npy --pattern "$pattern" --json --repeat 3
  check "run --json" test "$status" = 0
  check "its fields" fields device driver kernel ms plan_ms compile_ms pairs visited share gflops workspace_bytes
  check "its pairs are exact" grep -q '"pairs":[[:space:]]*394748,' out
  check "it says nothing else" test ! -s err
  check "the same O again" cmp o.npy o2.npy
  wants "--kernel base" 0 "^kernel *base" run $qkv -o base.npy --pattern "$pattern" --kernel base
  tulle run $qkv -o o2.npy --pattern "$pattern"
  name=$(sed -n 's/^device *//p' err | cut -c1-6)
  wants "--device by a part of its name" 0 "^device" run $qkv -o o2.npy --pattern "$pattern" --device "$name"
  wants "--device by index" 0 "^device" run $qkv -o o2.npy --pattern "$pattern" --device 0
}

# ---------------------------------------------------------------------------------------------------------------------
# run: what is kept between runs

one_kept() { [ "$(find kept/tulle -type f -name '*.cache' | wc -l)" = 1 ]; }
mode_of() { stat -c %a "$1"; }
# shellcheck disable=SC2086
{
  check "a run keeps one file for the device" one_kept
  file=$(find kept/tulle -type f)
  check "its folder is the user's alone" test "$(mode_of kept/tulle)" = 700
  cp "$file" kept.cache
  stamp=$(stat -c '%i' "$file")
  tulle run $qkv -o o2.npy --pattern "$pattern"
  check "nothing new is not written again" test "$stamp" = "$(stat -c '%i' "$file")"
  rm -r kept
  wants "--no-cache" 0 "^pairs" run $qkv -o o2.npy --pattern "$pattern" --no-cache
  check "it keeps nothing" test ! -e kept/tulle
  wants "--cache FILE" 0 "^pairs" run $qkv -o o2.npy --pattern "$pattern" --cache own.cache
  check "it is kept there" test -s own.cache
  check "and nowhere else" test ! -e kept/tulle
  head -c 70 kept.cache >own.cache
  wants "a cache that was cut off" 0 "^tulle: the cache is ignored: its " run $qkv -o o2.npy --pattern "$pattern" --cache own.cache
  check "the same O" cmp o.npy o2.npy
  wants "it is mended" 0 "^pairs" run $qkv -o o2.npy --pattern "$pattern" --cache own.cache
  check "without a word" test "$(grep -c ignored err)" = 0
  wants "an empty cache" 0 "^pairs" run $qkv -o o2.npy --pattern "$pattern" --cache /dev/null
  for cache in . /nonexistent/folder/file ''; do
    wants "--cache '$cache' cannot be written, which fails nothing" 0 "^tulle run: the cache is not kept: " run $qkv -o o2.npy --pattern "$pattern" --cache "$cache"
    check "it is said once" test "$(grep -c cache err)" = 1
  done
  HOME='' XDG_CACHE_HOME='' tulle run $qkv -o o2.npy --pattern "$pattern"
  check "no folder for a cache fails nothing" test "$status" = 0
  HOME=$work/home XDG_CACHE_HOME=relative tulle run $qkv -o o2.npy --pattern "$pattern"
  mkdir home
  HOME=$work/home XDG_CACHE_HOME='' tulle run $qkv -o o2.npy --pattern "$pattern"
  check "without XDG_CACHE_HOME it is in ~/.cache" test "$(find home/.cache/tulle -name '*.cache' | wc -l)" = 1
  check "and one that is relative names nothing" test ! -e relative
  wants "show and info take a cache too" 0 "" show dense --q-len 8 --cache own.cache
  wants "info --cache" 0 "" info --cache own.cache
}

# ---------------------------------------------------------------------------------------------------------------------
# run: other shapes and types

zeros 256 | npy q1.npy '<f4' '1, 8, 8'
zeros 256 | npy q2.npy '<f4' '8, 8'
zeros 256 | npy q3.npy '<f4' '8, 1, 8'
zeros 256 | npy q4.npy '<f4' '2, 1, 4, 8'
zeros 64 | npy q16.npy '<f2' '8, 4'
for q in q1 q2 q4 q16; do
  wants "$q is taken" 0 "^pairs" run --q $q.npy --k $q.npy --v $q.npy -o o-$q.npy --lse l-$q.npy --pattern dense
done
wants "q3 is taken as bshd" 0 "^pairs" run --q q3.npy --k q3.npy --v q3.npy -o o-q3.npy --lse l-q3.npy --pattern dense --layout bshd
while IFS=: read -r q descr shape lse; do
  check "O of $q is $descr ($shape)" grep -aq "'descr': '$descr', .*'shape': ($shape)" "o-$q.npy"
  check "LSE of $q is float32 ($lse)" grep -aq "'descr': '<f4', .*'shape': ($lse)" "l-$q.npy"
done <<EOF
q1:<f4:1, 8, 8:1, 8
q2:<f4:8, 8:8,
q3:<f4:8, 1, 8:1, 8
q4:<f4:2, 1, 4, 8:2, 1, 4
q16:<f2:8, 4:8,
EOF
{
  header='{"q": {"dtype": "BF16", "shape": [8, 4], "data_offsets": [0, 64]}, "v": {"dtype": "F16", "shape": [8, 4], "data_offsets": [0, 64]}}'
  # shellcheck disable=SC2059
  printf "\\$(printf %o "${#header}")\\0\\0\\0\\0\\0\\0\\0"
  printf %s "$header"
  zeros 64
} >x.safetensors
echo '{"weight_map": {"v": "x.safetensors"}}' >x.safetensors.index.json
wants "a tensor of a checkpoint in several files" 0 "^pairs" run --q x.safetensors.index.json:v --k x.safetensors:v --v x.safetensors:v \
  -o shard.npy --pattern dense
wants "bf16 from .safetensors" 0 "^pairs" run --q x.safetensors:q --k x.safetensors:q --v x.safetensors:q -o bf16.npy --pattern dense
check "its O is float32" grep -aq "'descr': '<f4', .*'shape': (8, 4)" bf16.npy
printf '\003\000\000\000\004\000\000\000' | npy lengths.npy '<i4' '2,'
printf '\001\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000' | npy starts.npy '<i8' '2,'
# 3 queries x keys 1 and 2, then 4 queries x 4 keys
wants "lengths and starts" 0 "^pairs *22 selected" run --q q4.npy --k q4.npy --v q4.npy -o o-lengths.npy --pattern dense \
  --q-lengths lengths.npy --kv-lengths lengths.npy --kv-starts starts.npy
# rows at positions 0 ... 7 of 8, and one before them all
wants "--q-offset" 0 "^pairs *28 selected" run --q q2.npy --k q2.npy --v q2.npy -o o-offset.npy --pattern dense --causal --q-offset -1
printf '\000\000\200\077' | npy slope.npy '<f4' '1,'
wants "--alibi and --sink-logits" 0 "^pairs" run --q q2.npy --k q2.npy --v q2.npy -o o-alibi.npy --pattern dense --alibi slope.npy \
  --sink-logits slope.npy --softcap 20 --scale 0.5
printf '\000\000\001\001' | npy mask.npy '|b1' '2, 2'
printf '\000\000\000\000\003\000\000\000\010\000\000\000' | npy ends.npy '<i4' '3,'
wants "a pattern with files" 0 "^pairs *34 selected" run --q q2.npy --k q2.npy --v q2.npy -o o-files.npy --pattern 'documents:ends.npy'
wants "a union with a file in quotes" 0 "^pairs *46 selected" run --q q2.npy --k q2.npy --v q2.npy -o o-files.npy \
  --pattern 'documents:"ends.npy"+blocks:4,"mask.npy"'

# ---------------------------------------------------------------------------------------------------------------------
# run: what each option does to random values, beside attention in fp64

# right TYPE LAYOUT OPTION ...: as `tulle run` is given them; O and LSE must be the reference's.
right() {
  title="$*" type=$1 layout=$2
  shift 2
  case $type in
    bf16) set -- --q r.safetensors:q --k r.safetensors:k --v r.safetensors:v "$@" ;;
    *) set -- --q "r-q-$type-$layout.npy" --k "r-k-$type-$layout.npy" --v "r-v-$type-$layout.npy" --layout "$layout" "$@" ;;
  esac
  set -- "$@" -o right.npy --lse right-lse.npy
  tulle run "$@"
  if [ "$status" != 0 ]; then
    not_ok "$title" "status $status: tulle run $*"
  else
    check "$title" python3 "$reference" check "$@"
  fi
}

if command -v python3 >python.path; then
  check "random inputs" python3 "$reference" make
  lengths="--q-lengths r-q-lengths.npy --kv-lengths r-kv-lengths.npy --kv-starts r-kv-starts.npy"
  every="--causal --scale 0.7 --softcap 1.5 --alibi r-slopes-f32.npy --sink-logits r-sinks-f32.npy"
  by_head='dense;window:6,2;sink:3+window:2,0;window:4,4'
  while read -r options; do
    # shellcheck disable=SC2086  # one word an argument
    right $options
  done <<EOF
f32 bhsd --pattern dense
f32 bshd --pattern dense --scale 0.7
f16 bhsd --pattern dense --scale -0.4
f32 bhsd --pattern dense --softcap 1.5
f16 bshd --pattern dense --softcap 0.5
f32 bhsd --pattern dense --alibi r-slopes-f32.npy
f16 bshd --pattern dense --alibi r-slopes-f16.npy
f32 bhsd --pattern dense --sink-logits r-sinks-f32.npy
f16 bshd --pattern dense --sink-logits r-sinks-f16.npy
f32 bhsd --pattern $by_head --causal
f32 bhsd --pattern $by_head --q-offset 2
f16 bshd --pattern $by_head --causal --q-offset -3
f32 bhsd --pattern $by_head --q-lengths r-q-lengths.npy
f32 bshd --pattern $by_head --kv-lengths r-kv-lengths.npy
f16 bhsd --pattern $by_head --kv-starts r-kv-starts.npy
f32 bhsd --pattern $by_head $every $lengths
f32 bshd --pattern $by_head $every $lengths
f16 bhsd --pattern $by_head $every $lengths
f16 bshd --pattern $by_head $every $lengths
bf16 bhsd --pattern dense
bf16 bhsd --pattern $by_head $every $lengths
f32 bshd --pattern $by_head $every $lengths --q-offset 1 --kernel base
EOF
else
  echo "# skip: no python3 to compute attention with"
fi

# An output may be an input; a link's file is replaced, not the link; what may be read and written stays so.
cp q2.npy same.npy
ln -s same.npy link.npy
chmod 640 same.npy
wants "-o may be --q, through a link" 0 "^pairs" run --q link.npy --k q2.npy --v q2.npy -o link.npy --pattern dense
check "the link is still a link" test -L link.npy
check "its file has the old mode" test -n "$(find same.npy -perm 640)"
check "and the new contents" cmp same.npy o-q2.npy

# ---------------------------------------------------------------------------------------------------------------------
# run: whatever fails leaves the outputs as they were

echo old >old.npy
cp old.npy old.copy
good='--q q2.npy --k q2.npy --v q2.npy --pattern dense'

# leaves TITLE STATUS STDERR-PATTERN ARG ...: as wants; neither old.npy nor new.npy may have changed.
leaves() {
  leaves_title=$1 leaves_status=$2 leaves_says=$3
  shift 3
  wants "$leaves_title" "$leaves_status" "$leaves_says" "$@"
  if ! cmp -s old.npy old.copy || [ -e new.npy ] || ! no_leftovers; then
    not_ok "$leaves_title: outputs left alone" "an output was created or changed, or a temporary file stays"
    cp old.copy old.npy
    rm -f new.npy
    find . -name '*.tulle-*' -exec rm -f {} +
  fi
}

zeros 64 | npy f8.npy '<f8' '2, 4'
zeros 32 | npy short.npy '<f4' '1, 8'
zeros 16 | npy narrow.npy '<f4' '1, 4'
zeros 96 | npy three.npy '<f4' '3, 1, 8'
zeros 64 | npy two.npy '<f4' '2, 1, 8'
zeros 0 | npy empty.npy '<f4' '0, 8'
zeros 32 | npy flat.npy '<f4' '8,'
printf '\001\000\000\000' | npy whole.npy '<i4' '1,'
head -c 100 q2.npy >cut.npy
{
  header='{"q": {"dtype": "F16", "shape": [4, 4], "data_offsets": [0, 32]}, "v": {"dtype": "F16", "shape": [4, 4], "data_offsets": [32, 64]}}'
  # shellcheck disable=SC2059
  printf "\\$(printf %o "${#header}")\\0\\0\\0\\0\\0\\0\\0"
  printf %s "$header"
  zeros 32
} >y.safetensors
# shellcheck disable=SC2086  # one word an argument
{
  leaves "a pattern that is none" 2 "column 1" run $qkv -o old.npy --lse new.npy --pattern wibble
  leaves "a number out of its range" 2 "fixed" run $qkv -o old.npy --lse new.npy --pattern fixed:2,5
  leaves "a pattern's file that is missing" 2 "'no.npy'" run $qkv -o old.npy --lse new.npy --pattern blocks:4,no.npy
  leaves "a pattern's file of the wrong type" 2 "blocks" run $qkv -o old.npy --lse new.npy --pattern blocks:512,q2.npy
  leaves "a made-up mask that is malformed" 2 "@ROWSxCOLSpPERCENT" run $qkv -o old.npy --lse new.npy --pattern blocks:4,@8x8
  leaves "a made-up neighbourhood of an even size" 2 "an odd size" run $qkv -o old.npy --lse new.npy --pattern blocks:1,@8x8k4
  leaves "more made-up documents than positions" 2 "@LENGTHdCOUNT" run $qkv -o old.npy --lse new.npy --pattern documents:@8d9
  leaves "a made-up mask that is too large" 2 "at most 268435456" run $qkv -o old.npy --lse new.npy --pattern blocks:1,@200x200k7
  leaves "made-up positions that fall" 2 "@FIRST-LAST" run $qkv -o old.npy --lse new.npy --pattern global:@9-8
  leaves "an input that is missing" 2 "--k: cannot open 'no.npy'" run --q q2.npy --k no.npy --v q2.npy --pattern dense -o old.npy
  leaves "an input that is cut off" 2 "--v: 'cut.npy'" run --q q2.npy --k q2.npy --v cut.npy --pattern dense -o old.npy
  leaves "an input of float64" 2 "--q: 'f8.npy' holds float64" run --q f8.npy --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "an input of whole numbers" 2 "holds int32" run --q ends.npy --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "an input of one axis" 2 "\[n,d\]" run --q flat.npy --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "an input without rows" 2 "at least 1" run --q empty.npy --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "inputs of two types" 2 "one type" run --q q2.npy --k q16.npy --v q16.npy --pattern dense -o old.npy
  leaves "K narrower than Q" 2 "last axis" run --q q2.npy --k narrow.npy --v narrow.npy --pattern dense -o old.npy
  leaves "V shorter than K" 2 "must agree" run --q q2.npy --k q2.npy --v short.npy --pattern dense -o old.npy
  leaves "heads that do not divide" 2 "does not divide" run --q three.npy --k two.npy --v two.npy --pattern dense -o old.npy
  leaves "batches that differ" 2 "batch entries" run --q q4.npy --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "lengths of the wrong shape" 2 "--kv-lengths: 'ends.npy' has shape" run $good -o old.npy --kv-lengths ends.npy
  leaves "lengths that are not whole" 2 "whole numbers" run $good -o old.npy --kv-lengths slope.npy
  leaves "slopes that are whole numbers" 2 "--alibi: 'whole.npy' holds int32; float32 or float16" run $good -o old.npy --alibi whole.npy
  leaves "a tensor without a name" 2 "it holds q, v" run --q x.safetensors --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "a tensor that is not there" 2 "no tensor 'z'" run --q x.safetensors:z --k q2.npy --v q2.npy --pattern dense -o old.npy
  leaves "a tensor beside one that is cut off" 2 "tensor 'v' ends at byte 64 of 32" run --q y.safetensors:q --k y.safetensors:q --v y.safetensors:q \
    --pattern dense -o old.npy
  leaves "a kernel that does not exist" 2 'kernel is "nosuch"; for fp32 .* base_f32_q32k32, .* rows_texel_f32_r1k2' run $good -o old.npy --lse new.npy --kernel nosuch
  leaves "a kernel of another type" 2 'for fp16 .* base_f16_q32k32' run --q q16.npy --k q16.npy --v q16.npy --pattern dense -o old.npy --kernel base_f32
  leaves "more specs than heads" 2 "--pattern holds 2 specs .* there is 1 head;" run --q q2.npy --k q2.npy --v q2.npy --pattern 'dense;sink:2' -o old.npy
  leaves "an O without a name" 2 "-o: ''" run $good -o '' --lse new.npy
  leaves "an LSE without a name" 2 "--lse: ''" run $good -o old.npy --lse ''
  leaves "a device that does not exist" 1 "device is .99.: .* index" run $good -o old.npy --lse new.npy --device 99
  leaves "a device of no such name" 1 "device is .nosuch.: .* name" run $good -o old.npy --lse new.npy --device nosuch
  leaves "an LSE folder that does not exist" 2 "--lse: cannot write" run $good -o old.npy --lse no/new.npy
  leaves "an LSE that is a folder" 2 "not a regular file" run $good -o old.npy --lse .
  leaves "an O that is a device" 2 "not a regular file" run $good -o /dev/null --lse new.npy
  leaves "O and LSE in one file" 2 "two outputs" run $good -o old.npy --lse ./old.npy
  leaves "O and LSE in one new file" 2 "two outputs" run $good -o new.npy --lse new.npy
  if [ -e /dev/full ]; then
    "$program" run $good -o old.npy --lse new.npy --json >/dev/full 2>err
    check "standard output that is full" test $? = 1
    check "it leaves the outputs alone" cmp old.npy old.copy
    check "all of them" test ! -e new.npy
  fi

  # A signal while it runs.
  "$program" run $qkv --pattern dense -o old.npy --lse new.npy --repeat 1000000 >out 2>err &
  child=$!
  tries=0
  while no_leftovers && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  sleep 0.3
  kill -TERM $child
  wait $child 2>check.out
  check "SIGTERM ends it" test $? = 143
  check "it leaves the outputs alone" cmp old.npy old.copy
  check "and no temporary file" no_leftovers
}

# ---------------------------------------------------------------------------------------------------------------------
# show

tulle show 'window:2,0+global:1' --q-len 8 --kv-len 8 --causal
check "show" test "$status" = 0
check "show prints the pattern" grep -q '^window:2,0+global:1$' out
check "show tells the share of dense" grep -q '41.4.* % of dense selected (26 pairs)\|40.62 % of dense selected (26 pairs)' out
LC_ALL=C "$program" show 'window:2,0' --q-len 8 >out 2>err
if LC_ALL=C grep -q '[^ -~]' out; then not_ok "plain ASCII in a plain locale"; else ok "plain ASCII in a plain locale"; fi
LC_ALL=C.UTF-8 "$program" show 'window:2,0' --q-len 8 >out 2>err
check "blocks in a UTF-8 locale" grep -q '█' out
VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent "$program" show 'strided:3' --q-len 8 --kv-len 12 >out 2>err
check "show without a device" test $? = 0
wants "show of a million tokens" 0 "" show window:255,0 --q-len 1000000 --causal
wants "show of one row" 0 "" show dense --q-len 1 --kv-len 4096
wants "show of one key" 0 "" show dense --q-len 4096 --kv-len 1
wants "show a pattern by head" 0 "" show 'dense;window:1,1' --q-len 8 --head 1
check "show the head's own" grep -q '^window:1,1$' out
wants "show has a head for each spec" 0 "" show 'dense;window:1,1' --q-len 8
wants "show has as many for each kv head" 0 "" show 'dense;window:1,1;sink:2' --q-len 8 --kv-heads 2 --head 3
wants "show with more specs than heads" 2 "SPEC holds 3 specs .* there are 2 heads" show 'dense;window:1,0;sink:2' --q-len 8 --heads 2
wants "show with more specs than Q's heads" 2 "SPEC holds 2 specs .* there is 1 head;" show 'dense;sink:2' --q q2.npy --k q2.npy
wants "show with a head too many" 2 "--head is 2" show dense --q-len 8 --heads 2 --head 2
wants "show with kv heads that do not divide" 2 "do not divide" show dense --q-len 8 --heads 3 --kv-heads 2
wants "show a mask too small" 2 "block rows" show blocks:4,mask.npy --q-len 16
wants "show with lengths that disagree" 2 "--q-len is 9" show dense --q q2.npy --k q2.npy --q-len 9
wants "weights of a head" 0 "" show "$pattern" --q "$data/q.npy" --k "$data/k.npy" --tokens "$data/tokens.txt" --head 1
check "with the tokens" grep -q 'CLS' out
wants "show a plan" 0 "" show 'window:3,0+strided:8' --q-len 64 --causal --heads 2 --plan
check "pairs selected, and what parts and terms cost" grep -q ' 948 selected, [0-9]* visited' out
check "each term alone" test "$(grep -c '^\(window:3,0\|strided:8\) alone ' out)" = 2
wants "show a plan as JSON" 0 "" show 'window:3,0+strided:8' --q-len 64 --causal --heads 2 --plan --json
check "the same as JSON" python3 -c '
import json, sys
found = json.load(open("out"))
parts = [cost for cost in found["costs"] if cost["part"] is not None]
sys.exit(not (found["pairs"] == sum(cost["pairs"] * cost["entries"] for cost in parts) == 948 and
              found["visited"] >= found["pairs"] and found["tiles"] >= len(parts) and found["plan_ms"] > 0))'
wants "show a plan of a picture" 2 "-o is given with --plan" show dense --q-len 4 --plan -o pattern.png
wants "show JSON without a plan" 2 "--json is given without --plan" show dense --q-len 4 --json
VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent "$program" show dense --q-len 8 --plan >out 2>err
check "a plan needs a device" test $? = 1
wants "a pattern that a user will regret, said once" 0 "visits about [0-9.]* times .* mostly for random:1,64,1," show random:1,64,1 --q-len 4096 --plan
check "it is" test "$(wc -l <err)" = 1
echo "too few" >few.txt
wants "tokens that are too few" 2 "2 words; there are 8 keys" show dense --q q2.npy --k q2.npy --tokens few.txt
if "$program" show dense --q-len 8 -o p.png 2>err >out; then
  check "a PNG" test "$(head -c 4 p.png | tail -c 3)" = PNG
  printf 'a \377\376 b\001c \303\251t\303\251 <s> \340\244\271 x y\n' >odd.txt
  wants "a PNG with odd tokens" 0 "" show dense --q q2.npy --k q2.npy --tokens odd.txt -o p2.png
  wants "a PNG in no folder" 2 "-o: cannot write" show dense --q-len 8 -o no/p.png
  wants "a PNG with a loud name" 0 "" show dense --q-len 8 -o P4.PNG
  wants "a large PNG" 0 "" show 'window:100,0+strided:64' --q-len 9000 -o p3.png
else
  check "no PNG, and why" grep -q cairo err
fi
check "no temporary file" no_leftovers

# ---------------------------------------------------------------------------------------------------------------------
# info and bench

wants "info" 0 "" info
check "info tells of kernels" grep -q 'base_f32.* runs here' out
check "and what their order rests on" grep -q '^   kernels       ordered by what' out
sed -n 's/^TULLE_VARIANT(\([a-z0-9_]*\),.*/\1/p' "$variants" | sort >names
sed -n 's/^   \([a-z_]*_[bf][0-9a-z_]*\)  .*/\1/p' out | sort -u >listed
check "of all of them" cmp names listed
tulle info --json
check "info --json" test "$status" = 0
check "its fields" fields devices index name type driver uuid api_version variants dtype serves reason ranking measured measured_here release
sed -n 's/.*"name":[[:space:]]*"\([a-z_]*_[bf][0-9a-z_]*\)".*/\1/p' out | sort -u >listed
check "all kernels" cmp names listed
check "of every type" test "$(grep -o '"dtype":[[:space:]]*"[a-z0-9]*"' out | sort -u | wc -l)" = 3
VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent "$program" info >out 2>err
check "info without a device" test $? = 1
check "it says so" grep -q 'no Vulkan device\|no Vulkan' err
# A driver that says it is Vulkan only in part, as MoltenVK does: the loader hides it from who does not ask.
for manifest in ${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-/usr/share/vulkan/icd.d/lvp_icd*.json}}; do break; done
if [ -f "$manifest" ]; then
  sed 's/"ICD": *{/"ICD": { "is_portability_driver": true,/' "$manifest" >portable.json
  check "a driver becomes one in part" grep -q is_portability_driver portable.json
  VK_DRIVER_FILES=$work/portable.json VK_ICD_FILENAMES=$work/portable.json "$program" info >out 2>err
  check "info of a driver in part" grep -q '^0: ' out
fi
wants "info of a device without a name" 2 "device is ..: .* name" info --device ""
wants "info of a device that is not there" 1 "device is .99.: .* index" info --device 99

# ---------------------------------------------------------------------------------------------------------------------
# tune

tulle tune --dtype fp32 --head-dim 20 --phase few-rows --cache tuned.cache
check "tune" test "$status" = 0
check "one kernel is starred" test "$(grep -c ' \*$' out)" = 1
kernel=$(sed -n 's/.* \([a-z0-9_]*\) \*$/\1/p' out)
check "info says what was tuned" sh -c "'$program' info --cache tuned.cache | grep -q '^ *$kernel  *tuned: taken for fp32, head_dim up to 32, few-rows'"
tulle info --cache tuned.cache --json
check "info --json too" fields tuned addresses phase
wants "a run takes it" 0 "^kernel *$kernel (tuned)$" run --q q2.npy --k q2.npy --v q2.npy -o o-q2.npy --pattern dense --cache tuned.cache
wants "another class does not" 0 "^kernel *[a-z0-9_]*$" run --q q16.npy --k q16.npy --v q16.npy -o o-q16.npy --pattern dense --cache tuned.cache
wants "nor does a kernel that is named" 0 "^kernel *base[a-z0-9_]*$" run --q q2.npy --k q2.npy --v q2.npy -o o-q2.npy --pattern dense --cache tuned.cache --kernel base
tulle tune --dtype fp32 --head-dim 20 --phase few-rows --cache tuned.cache --json
check "tune --json" fields device classes dtype head_dim phase kernels name ms chosen
wants "tune that cannot keep what it found" 1 "the cache is not kept" tune --dtype fp32 --head-dim 20 --phase few-rows --cache /nonexistent/file

tulle bench --pattern window:15,0 --causal --q-len 256 --kv-len 256 --heads 2 --kv-heads 1 --head-dim 32 --dtype fp16 --json
check "bench of one workload" test "$status" = 0
check "its fields" fields results device driver kernel ms plan_ms compile_ms pairs visited share gflops workspace_bytes peak_share
check "its pairs are exact" grep -q '"pairs":[[:space:]]*7952,' out
wants "bench of two kernels" 0 "" bench --pattern window:15,0 --q-len 256 --kernel base_f32_q32k32 --kernel base_f32_q8k32
check "has a row for each" test "$(grep -c '^window:15,0 by base_f32_q.*k32 ' out)" = 2
wants "bench of seeds by two kernels" 2 "more than once, but no --pattern" bench --quick --kernel base --kernel rows
tulle bench --pattern window:15,0 --causal --q-len 256 --head-dim 32 --command
check "bench as a table" test "$status" = 0
line=$(sed -n 's/.*\(tulle bench --pattern .*\)/\1/p' out)
check "each row has its line" test -n "$line"
eval "set -- ${line#tulle }"
wants "that line runs" 0 "" "$@"
printf '\001\001\001\001' | npy "it's.npy" '|b1' '2, 2'
tulle bench --pattern "blocks:128,it's.npy" --q-len 256 --head-dim 32 --repeat 1 --command
check "the table tells batch and heads" grep -q '^batch 1, heads 1, kv heads 1$' out
line=$(sed -n 's/.*\(tulle bench --pattern .*\)/\1/p' out)
eval "set -- $line"
check "a line with a quote is of the same words" test "${4-} ${5-}" = "blocks:128,it's.npy --q-len"
wants "bench with a bad pattern" 2 "wibble" bench --pattern wibble --q-len 64
wants "bench with a bad head_dim" 2 "head_dim" bench --pattern dense --q-len 64 --head-dim 576
wants "bench --plan" 0 "" bench --plan
check "planning times" grep -q 'window at 1M' out

echo "1..$tests"
[ "$failures" = 0 ] || echo "# $failures of $tests failed"
[ "$failures" = 0 ]
