# Installs each package in the guest, uses it as a user would, and removes it. Every check prints a
# line, "ok: WHAT" or "NOT ok: WHAT" with what it printed.
# Arguments: .deb, .rpm, tarball, the directory that the tarball unpacks to, version.
deb=$1 rpm=$2 tarball=$3 top=$4 version=$5

check() {
    what=$1
    shift
    if output=$("$@" 2>&1); then
        echo "ok: $package: $what"
    else
        echo "NOT ok: $package: $what (status $?)"
        echo "$output" | tail -n 15 | sed 's/^/#   /'
    fi
}

# What lies where the packages put their files, and where dpkg keeps its own.
places="/opt /usr/bin /usr/share/bash-completion/completions /usr/share/doc /usr/share/licenses
    /usr/share/fish/vendor_completions.d /usr/share/lintian/overrides /usr/share/man/man1
    /usr/share/zsh/site-functions /usr/share/zsh/vendor-completions /var/lib/dpkg/info"
listing() {
    for place in $places; do
        [ ! -d "$place" ] || find "$place" -mindepth 1 -maxdepth 1
    done | sort
}

version_is_right() { [ "$(lastref --version)" = "lastref $version" ]; }
man_page_is_read() { man lastref-watch | grep -q -- --stuck-after; }
bash_completes() { bash -c '. "$1/lastref" && complete -p lastref' bash "$1"; }
fish_completes() { fish -c '. $argv[1]/lastref.fish; complete -C "lastref wat"' "$1" | grep -q '^watch'; }
# Without the completions of zsh's own, a thousand files.
zsh_completes() {
    zsh -fc 'autoload -Uz +X compinit; fpath=($1 ${functions_source[compinit]:h}); compinit -D -u
        [[ $_comps[lastref] == _lastref ]]' zsh "$1"
}
# The command's own status, 7, comes back only if the kernel was watched while it ran.
watches() {
    lastref run --passthrough --output /tmp/report.json -- sh -c 'exit 7'
    [ $? -eq 7 ] && lastref report /tmp/report.json | grep -q '^In numbers'
}
# What docs/privileges.md says is enough, with the setting that it names.
watches_with_few_capabilities() {
    few=-all,+bpf,+perfmon,+syslog,+dac_read_search
    sysctl --quiet --write kernel.perf_event_paranoid=2
    mkdir -p --mode 777 /tmp/few
    setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=$few --ambient-caps=$few \
        --bounding-set=$few \
        lastref run --passthrough --output /tmp/few/report.json -- sh -c 'exit 7'
    [ $? -eq 7 ] && [ -s /tmp/few/report.json ]
}
# Once each of its threads has given up what docs/privileges.md says, and all ways to more: the
# command sees to it, which keeps what it has. In order: DAC_READ_SEARCH, KILL, SYS_PTRACE,
# SYS_ADMIN, SYS_NICE, SYSLOG; who only writes messages keeps none.
gives_up_capabilities() {
    grep CapPrm /proc/self/status > /tmp/own
    lastref run --passthrough --output /tmp/report.json -- sh -c '
        grep CapPrm /proc/self/status | diff /tmp/own - || exit 6
        for try in $(seq 60); do
            left=$(grep -H "^CapPrm\|^CapBnd\|^NoNewPrivs" /proc/$PPID/task/*/status |
                grep -v "CapPrm:.0000000400a80024$\|Cap...:.0000000000000000$\|NoNewPrivs:.1$")
            [ -z "$left" ] && exit 7
            sleep 1
        done
        echo "$left"'
    [ $? -eq 7 ]
}
documented() { [ -s "$1/README.md" ] && [ -s "$1/docs/report.md" ]; }
gone() {
    listing > /tmp/after
    diff /tmp/before /tmp/after
}

# Arguments: the prefix, where functions of zsh are below it.
use() {
    check "lastref --version" version_is_right
    check "lastref doctor" lastref doctor
    check "lastref run" watches
    check "man -w lastref" test "$(man -w lastref)" = "$1/share/man/man1/lastref.1.gz"
    check "man lastref-watch" man_page_is_read
    check "completions for bash" bash_completes "$1/share/bash-completion/completions"
    check "completions for fish" fish_completes "$1/share/fish/vendor_completions.d"
    check "completions for zsh" zsh_completes "$1/$2"
    check "documents" documented "$1/share/doc/lastref"
}

# man-db would read every page of the system at each installation.
rm -f /var/lib/man-db/auto-update
# rpm's own database is not the package's.
rpm --dbpath /var/lib/rpm --initdb
listing > /tmp/before

package=deb
# Images for containers leave man pages and documents out.
check "dpkg --install" dpkg --path-include='/usr/share/*' --install "$deb"
check "dpkg --verify" dpkg --verify lastref
use /usr share/zsh/vendor-completions
check "dpkg --purge" dpkg --purge lastref
check "nothing is left" gone

package=rpm
# Debian's rpm asks for it, where dpkg is the package manager.
check "rpm --install" rpm --force-debian --dbpath /var/lib/rpm --install "$rpm"
check "rpm --verify" rpm --dbpath /var/lib/rpm --verify lastref
use /usr share/zsh/site-functions
check "rpm --erase" rpm --force-debian --dbpath /var/lib/rpm --erase lastref
check "nothing is left" gone

package=tarball
mkdir -p /opt
check "tar --extract" tar --extract --file "$tarball" --directory /opt
PATH=/opt/$top/bin:$PATH
use "/opt/$top" share/zsh/site-functions
check "few capabilities are enough" watches_with_few_capabilities
check "capabilities are given up" gives_up_capabilities
check "rm" rm -r "/opt/$top"
check "nothing is left" gone

echo "all checks made"
