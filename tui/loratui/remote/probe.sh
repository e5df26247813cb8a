# What this machine is, said in rows. Sent to "/bin/sh -s NONCE [HOME...]" on its standard input. POSIX sh, no tool taken
# for granted, nothing changed, nothing waited for longer than a few seconds. A row is a frame: @@loratui NONCE {"row": [...]}.
# Every text in a row begins with "=" and is plain, or with "~" and is in hex.
main() {
    nonce=$1
    shift
    unset LD_PRELOAD PYTHONHOME PYTHONPATH PYTHONSTARTUP
    LC_ALL=C
    export LC_ALL
    case ${HOME-} in /*) ;; *) HOME=$(cd && pwd) ;; esac
    if timeout 5 true 2>/dev/null; then has_timeout=1; else has_timeout=; fi

    row machine "$(uname -s)" "$(uname -m)" "$(libc)" "$(id -un 2>/dev/null || id -u)" "$HOME" "$(cpus)" "$(ram)" \
        "$(if have tar; then echo 1; fi)"
    gpus &
    pythons "$@" &
    disks "$@" &
    homes "$@" &
    tools "$@" &
    wait
    row end
}

have() { command -v "$1" >/dev/null 2>&1; }

text() {
    case $1 in
    *[!A-Za-z0-9\ _./:,+@%=-]*) printf '"~%s"' "$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n')" ;;
    *) printf '"=%s"' "$1" ;;
    esac
}

# One printf for one row: rows of jobs that run at the same time must not mix.
row() {
    line=
    for field in "$@"; do line="$line${line:+, }$(text "$field")"; done
    printf '\n@@loratui %s {"row": [%s]}\n' "$nonce" "$line"
}

within() {
    seconds=$1
    shift
    if [ "$has_timeout" ]; then
        timeout "$seconds" "$@" </dev/null 2>/dev/null
        return
    fi
    "$@" </dev/null 2>/dev/null &
    child=$!
    (sleep "$seconds" && kill -9 $child) >/dev/null 2>&1 &
    watch=$!
    wait $child
    status=$?
    kill $watch 2>/dev/null
    return $status
}

first_line() { [ -r "$1" ] && read -r line <"$1" 2>/dev/null && printf %s "$line"; }

libc() {
    found=$(getconf GNU_LIBC_VERSION 2>/dev/null)
    if [ -z "$found" ]; then
        for loader in /lib/ld-musl-* /usr/lib/ld-musl-*; do [ -e "$loader" ] && found=musl; done
    fi
    printf %s "$found"
}

cpus() {
    count=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    if [ -r /sys/fs/cgroup/cpu.max ]; then
        read -r quota period </sys/fs/cgroup/cpu.max
        if [ "$quota" != max ] && [ "$quota" -gt 0 ] 2>/dev/null; then
            allowed=$(((quota + period - 1) / period))
            [ "$allowed" -lt "$count" ] && count=$allowed
        fi
    fi
    printf %s "$count"
}

ram() {
    kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)
    bytes=$((${kib:-0} * 1024))
    for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
        limit=$(first_line $file)
        # More digits than a shell can count mean: no limit.
        case $limit in '' | *[!0-9]*) continue ;; ????????????????*) continue ;; esac
        [ "$limit" -lt "$bytes" ] && bytes=$limit
    done
    printf %s "$bytes"
}

gpus() {
    driver=$(first_line "${LORATUI_PROBE_SYS:-/sys}/module/nvidia/version")
    if have nvidia-smi; then smi=nvidia-smi; else smi=/usr/lib/wsl/lib/nvidia-smi; fi
    list=$(within 15 $smi --query-gpu=driver_version,memory.total,compute_cap,name --format=csv,noheader,nounits)
    case $list in
    [0-9]*) printf '%s\n' "$list" | while IFS= read -r line; do row gpu "$line"; done ;;
    *)
        # Drivers before 470 know no compute_cap.
        list=$(within 15 $smi --query-gpu=driver_version,memory.total,name --format=csv,noheader,nounits)
        case $list in [0-9]*) printf '%s\n' "$list" | while IFS= read -r line; do row oldgpu "$line"; done ;; esac
        ;;
    esac
    if [ "$driver" ]; then
        row driver "$driver"
        # Images without nvidia-smi have the driver's library all the same.
        case $list in [0-9]*) ;; *) have python3 && within 15 python3 -I -c "$CUDA_PROGRAM" "$nonce" ;; esac
    fi
}

CUDA_PROGRAM='
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
count, value = ctypes.c_int(), ctypes.c_int()
room, name = ctypes.c_size_t(), ctypes.create_string_buffer(100)
if cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0:
    for number in range(min(count.value, 16)):
        device = ctypes.c_int()
        cuda.cuDeviceGet(ctypes.byref(device), number)
        cuda.cuDeviceGetName(name, 100, device)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(room), device)
        capability = []
        for attribute in (75, 76):
            cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
            capability.append(str(value.value))
        line = ", ".join(["", str(room.value >> 20), ".".join(capability), name.value.decode("ascii", "replace")])
        sys.stdout.write("\n@@loratui %s {\"row\": [\"=gpu\", \"~%s\"]}\n" % (sys.argv[1], line.encode().hex()))
'

# Where an agent may live: what was named, the usual places, and what a client that chose another one left word of.
candidates() {
    for home in "$@" "$HOME/.loratui" /workspace/.loratui /data/.loratui /scratch/.loratui /mnt/.loratui /mnt/*/.loratui; do
        printf '%s\n' "$home"
    done
    [ -r "$HOME/.loratui-homes" ] && head -n 16 "$HOME/.loratui-homes" 2>/dev/null | grep '^/'
}

tools() {
    {
        printf '%s\n' "$(command -v uv 2>/dev/null)" "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv" /usr/local/bin/uv
        candidates "$@" | sed 's|$|/tools/uv|'
    } | while IFS= read -r uv; do
        if [ -x "$uv" ]; then
            row uv "$uv" "$(within 10 "$uv" --version)"
            break
        fi
    done
}

# The session of an SSH login lacks what a container's image put into its environment; its first process has it.
of_first() { { tr '\000' '\n' </proc/1/environ; } 2>/dev/null | sed -n "s/^$1=//p"; }

pythons() {
    {
        for base in "${VIRTUAL_ENV-}" "${CONDA_PREFIX-}" "$(of_first VIRTUAL_ENV)" "$(of_first CONDA_PREFIX)"; do
            [ "$base" ] && printf '%s\n' "$base/bin/python"
        done
        printf '%s:%s\n' "$PATH" "$(of_first PATH)" | tr ':' '\n' | while IFS= read -r folder; do
            for name in python3 python3.14 python3.13 python3.12 python3.11 python; do printf '%s\n' "$folder/$name"; done
        done
        for base in /venv/* /opt/venv /opt/venvs/* /workspace/venv /workspace/.venv "$HOME/venv" "$HOME/.venv" \
            /opt/conda /opt/miniconda3 /opt/miniforge3 /opt/mambaforge /root/miniconda3 "$HOME/miniconda3" \
            "$HOME/miniforge3" "$HOME/anaconda3" /opt/conda/envs/* /usr/local /usr; do
            for name in python python3.13 python3.12 python3.11 python3; do printf '%s\n' "$base/bin/$name"; done
        done
        candidates "$@" | while IFS= read -r home; do printf '%s\n' "$home"/python/*/bin/python3; done
    } | awk '/^\// && !seen[$0]++' 2>/dev/null | {
        count=0 known=
        while IFS= read -r python; do
            [ -x "$python" ] && [ ! -d "$python" ] || continue
            # Many names of one file: links to it are the same interpreter unless a venv makes them.
            real=$(readlink -f "$python" 2>/dev/null)
            folder=${python%/*}
            key="${real:-$python}"
            [ -e "$folder/../pyvenv.cfg" ] && key="$folder $key"
            case $known in *"|$key|"*) continue ;; esac
            known="$known|$key|"
            count=$((count + 1))
            [ $count -gt 16 ] && break
            order=$(printf %02d $count)
            within 20 "$python" -I -c "$PYTHON_PROGRAM" "$nonce" "$order" "$python" &
        done
        wait
    }
}

PYTHON_PROGRAM='
import json, os, re, sys
def out(*fields):
    fields = ["~" + "".join("%02x" % b for b in os.fsencode(f)) for f in fields]
    sys.stdout.write("\n@@loratui %s %s\n" % (sys.argv[1], json.dumps({"row": list(fields)})))
    sys.stdout.flush()
torch = folder = ""
for place in sys.path:
    try:
        text = open(os.path.join(place, "torch", "version.py")).read(4096)
    except (OSError, ValueError):
        continue
    found = re.search("__version__ *(?::[^=]*)?= *[\"\x27]([^\"\x27]+)", text)
    cuda = re.search("(?m)^cuda *(?::[^=]*)?= *[\"\x27]([0-9.]+)", text)
    if found:
        torch, folder = found.group(1), place
        if "+" not in torch:
            torch += "+cu" + cuda.group(1).replace(".", "") if cuda else ""
        break
base = getattr(sys, "base_prefix", sys.prefix)
version = ".".join(str(part) for part in sys.version_info[:3])
out("python", sys.argv[2], sys.executable or sys.argv[3], version, "1" if base != sys.prefix else "", torch, folder)
'

disks() {
    root=$(device /)
    for folder in "$HOME" /workspace; do disk "$folder"; done
    for folder in /data /scratch /mnt /mnt/*; do
        [ -d "$folder" ] && [ "$(device "$folder")" != "$root" ] && disk "$folder"
    done
    for folder in "$@"; do
        folder=${folder%/*}
        # A home that was named need not be there yet, nor what it lies in.
        while [ "$folder" ] && [ ! -e "$folder" ]; do folder=${folder%/*}; done
        disk "${folder:-/}"
    done
}

disk() {
    [ -d "$1" ] || return
    found=$(within 5 df -Pk "$1" | awk 'END { print $(NF - 2), $NF }')
    free=${found%% *}
    case $free in '' | *[!0-9]*) return ;; esac
    writable=1
    [ -w "$1" ] && [ -x "$1" ] || writable=
    # Programs are put there too.
    awk -v at="${found#* }" '$2 == at { options = $4 } END { exit options ~ /(^|,)(ro|noexec)(,|$)/ }' \
        /proc/self/mounts 2>/dev/null || writable=
    row disk "$1" "$((free * 1024))" "$writable"
}

device() { within 5 df -P "$1" | awk 'END { print $1 " " $NF }'; }

homes() {
    candidates "$@" | awk '!seen[$0]++' | while IFS= read -r home; do
        [ -d "$home" ] || continue
        # A folder that was named is a home only if an agent was put there.
        case $home in */.loratui) ;; *) [ -e "$home/.loratui-home" ] || continue ;; esac
        bundles= environments= jobs=0 pid=
        for marker in "$home"/agent/*/.ok; do
            [ -e "$marker" ] && marker=${marker%/.ok} && bundles="$bundles ${marker##*/}"
        done
        for marker in "$home"/env/*/.ok; do
            [ -e "$marker" ] && marker=${marker%/.ok} && environments="$environments ${marker##*/}"
        done
        for job in "$home"/jobs/*/state.json; do [ -e "$job" ] && jobs=$((jobs + 1)); done
        pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$home/run/agent.json" 2>/dev/null)
        # Its number may be another program's by now.
        grep -q loratui_agent "/proc/${pid:-none}/cmdline" 2>/dev/null || pid=
        row home "$home" "$bundles" "$environments" "$jobs" "$pid"
    done
}


main "$@"
