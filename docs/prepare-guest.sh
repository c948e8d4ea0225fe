#!/bin/sh
# Makes the file system of an OpenVZ or Virtuozzo container ready to boot as a virtual machine.
#
#   prepare-guest.sh DIR    DIR: where the file system of a *copy* of the disk is mounted
#
# Nothing of the guest is started, nothing is installed, and no link is followed out of DIR. What is
# changed or removed is said, a line each, and kept in /root/from-container of the guest. A second
# run changes nothing. Debian, Ubuntu, CentOS and their kin are known, with systemd, upstart or
# sysvinit. docs/migrate-to-kvm.md says when to run it and what each part is for.
set -eu
export LC_ALL=C

fail() {
    echo "prepare-guest.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: prepare-guest.sh DIR"
root=$(cd "$1" && pwd -P)
[ "$root" != / ] || fail "this is the running system"
[ -d "$root/etc" ] || fail "no /etc in $1: is the file system mounted?"
mountpoint -q "$root" || fail "$1 is no mount point"
uuid=$(findmnt -n -o UUID --mountpoint "$root")
fstype=$(findmnt -n -o FSTYPE --mountpoint "$root")
[ "$uuid" ] || fail "the file system in $1 has no UUID"
new=$(mktemp)
trap 'rm -f "$new"' EXIT

# --- Tools ----------------------------------------------------------------------------------------

say() { printf '%-8s %s\n' "$1" "$2"; }

# inside PATH: whether it exists in the guest; $real is then where it is. A link that leads out of
# the guest would lead to this machine's own files.
inside() {
    real=$(readlink -f "$root/$1") || return 1
    [ -e "$real" ] || return 1
    case $real in
    "$root" | "$root"/*) ;;
    *)
        say skipped "/$1 is a link that leads out of the guest"
        return 1
        ;;
    esac
}

# parent PATH: the same for the folder that something is in.
parent() {
    case $1 in
    */*) inside "${1%/*}" ;;
    *) inside . ;;
    esac
}

inside root || mkdir "$root/root"
saved=$root/root/from-container
[ ! -L "$saved" ] || fail "/root/from-container of the guest is a link"
mkdir -p "$saved"

# as_saved PATH: its name in the folder of what the container had.
as_saved() { printf '%s/%s' "$saved" "$(printf '%s' "$1" | tr / _)"; }

# put PATH MODE: what is in $new becomes that file.
put() {
    if [ -L "$root/$1" ] || [ -e "$root/$1" ]; then
        inside "$1" >/dev/null && [ -f "$real" ] || return 0
        if cmp -s "$new" "$real"; then return 0; fi
        [ -e "$(as_saved "$1")" ] || cp -pPT "$real" "$(as_saved "$1")"
        cat "$new" >"$real"
        say changed "/$1"
    elif parent "$1"; then
        cat "$new" >"$real/${1##*/}"
        chmod "$2" "$real/${1##*/}"
        say new "/$1"
    fi
}

# edit PATH SED-OPTION…: changes a file of the guest, if there is one.
edit() {
    edited=$1
    shift
    inside "$edited" || return 0
    sed "$@" "$real" >"$new"
    put "$edited" 644
}

# drop PATH…: takes files, links and folders away.
drop() {
    for dropped; do
        [ -L "$root/$dropped" ] || [ -e "$root/$dropped" ] || continue
        parent "$dropped" || continue
        if [ -e "$(as_saved "$dropped")" ] || [ -L "$(as_saved "$dropped")" ]; then
            rm -rf "${real:?}/${dropped##*/}"
        else
            mv -T "$real/${dropped##*/}" "$(as_saved "$dropped")"
        fi
        say removed "/$dropped"
    done
}

# link TARGET PATH: a symbolic link in a folder that is made if it is missing.
link() {
    folder=${2%/*}
    [ -L "$root/$2" ] && return
    parent "$folder" || return 0
    [ -e "$root/$folder" ] || mkdir "$root/$folder"
    inside "$folder" || return 0
    ln -s "$1" "$real/${2##*/}"
    say new "/$2"
}

# has PATH…: whether the guest has one of these programs or units; the first is in $found.
has() {
    for found; do
        if [ -e "$root/$found" ] || [ -L "$root/$found" ]; then return; fi
    done
    return 1
}

# each PATTERN…: the paths in the guest that match, one a line.
each() {
    (
        cd "$root"
        # shellcheck disable=SC2048 # patterns are meant to expand
        for path in $*; do
            if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
        done
    )
}

# naming TEXT PATTERN…: those of the files that hold the text.
naming() {
    text=$1
    shift
    each "$@" | while read -r path; do
        if inside "$path" >&2 && [ -f "$real" ] && grep -q "$text" "$real"; then printf '%s\n' "$path"; fi
    done
}

# --- Disks: the root device by UUID; neither ploop devices nor simfs ------------------------------

if inside etc; then
    [ -e "$root/etc/fstab" ] || : >"$new"
    pass=0
    if has "sbin/fsck.$fstype" "usr/sbin/fsck.$fstype"; then pass=1; fi
    # What names the root as a container had it becomes a comment, and so does its /dev/shm, whose
    # options need not suit a machine; inits that do not mount /dev/shm themselves get a plain one.
    if inside etc/fstab; then
        awk -v ours="UUID=$uuid" '
            /^[ \t]*(#|$)/ || $1 == ours { print; next }
            $2 == "/" || $2 == "/dev/shm" && $1 != "tmpfs" || $1 ~ "^/dev/(ploop|simfs|vzfs)|^(simfs|vzfs)$" {
                print "#container# " $0
                next
            }
            { print }' "$real" >"$new"
    fi
    grep -q "^UUID=${uuid}[[:space:]]*/[[:space:]]" "$new" ||
        printf 'UUID=%s / %s defaults 0 %s\n' "$uuid" "$fstype" "$pass" >>"$new"
    if ! has lib/systemd/systemd usr/lib/systemd/systemd &&
        ! grep -q '^[^#].*[[:space:]]/dev/shm[[:space:]]' "$new"; then
        echo 'tmpfs /dev/shm tmpfs defaults 0 0' >>"$new"
    fi
    put etc/fstab 644
fi

# --- Devices: udev instead of nodes that the host had made ----------------------------------------

drop etc/udev/devices lib/udev/devices etc/udev/rules.d/70-persistent-net.rules
if inside sbin/start_udev && inside etc/rc.d/rc.sysinit; then
    if grep -q devtmpfs "$root/sbin/start_udev"; then
        edit etc/rc.d/rc.sysinit 's|^\([[:space:]]*\)#[#[:space:]]*\(/sbin/start_udev\)|\1\2|'
    else
        # CentOS 5: this udev cannot read the /sys of a newer kernel and would hide a full /dev.
        say note "start_udev in /etc/rc.d/rc.sysinit stays off; a kernel of CentOS 5 needs it on"
    fi
fi

# --- Services: off what belongs to a container, on what a container cannot use --------------------

masked='systemd-udev* udev* eudev* getty@* getty.target serial-getty@*
    systemd-remount-fs.service systemd-fsck* systemd-modules-load.service kmod-static-nodes.service
    systemd-tmpfiles-setup-dev.service systemd-random-seed.service systemd-sysctl.service
    systemd-logind.service dev-hugepages.mount dev-mqueue.mount sys-*.mount proc-sys-fs-binfmt_misc.*
    hwclock* systemd-hwdb-update.service networking.service ifupdown* lvm2* systemd-reboot.service
    systemd-poweroff.service systemd-halt.service'
set -f
# shellcheck disable=SC2086 # a list
set -- $masked
set +f
for pattern; do
    for path in $(each "etc/systemd/system/$pattern"); do
        case $(readlink "$root/$path" || true) in
        */dev/null) drop "$path" ;;
        esac
    done
done
for path in $(each 'etc/systemd/system/*'); do
    case $(readlink "$root/$path" || true) in
    */dev/null) say note "/$path is masked, and stays so" ;;
    esac
done

# shellcheck disable=SC2046 # paths of units and links, which have no spaces
drop $(each 'etc/systemd/system/vz*.service' 'etc/systemd/system/*.wants/vz*.service' \
    'lib/systemd/system/*.wants/vz*.service' 'usr/lib/systemd/system/*.wants/vz*.service' \
    'etc/rc[0-6S].d/*vzquota' 'etc/rc.d/rc[0-6].d/*vzquota' 'etc/rc[0-6S].d/*vzreboot' \
    'etc/rc.d/rc[0-6].d/*vzreboot' 'etc/init.d/vz*' 'etc/rc.d/init.d/vz*' 'etc/init/vz*.conf' 'etc/event.d/vz*')
drop aquota.user aquota.group fastboot reboot .vzfifo
if [ -f "$root/.balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8" ]; then
    rm "$root/.balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8"
    say removed "the balloon file of Virtuozzo"
fi
# Nothing in a container has labels of SELinux, so nothing would be allowed.
edit etc/selinux/config 's/^SELINUX=enforcing/SELINUX=permissive/'

# --- Console: a login on the first serial port, and one on the screen -----------------------------

if inside etc/securetty; then
    cat "$real" >"$new"
    for tty in tty1 ttyS0; do grep -qx "$tty" "$new" || echo "$tty" >>"$new"; done
    put etc/securetty 600
fi
getty=
if has sbin/agetty usr/sbin/agetty sbin/getty usr/sbin/getty; then getty=/$found; fi
if has lib/systemd/system/serial-getty@.service usr/lib/systemd/system/serial-getty@.service; then
    units=/${found%/*}
    # vzctl's login on /dev/console would share the line with ours.
    drop etc/systemd/system/getty.target.wants/console-getty.service \
        etc/systemd/system/getty.target.wants/container-getty@0.service
    link "$units/serial-getty@.service" etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service
    link "$units/getty@.service" etc/systemd/system/getty.target.wants/getty@tty1.service
elif [ -z "$getty" ]; then
    say note "there is no getty in the guest: no login on the console"
elif has etc/init/rc.conf; then
    drop etc/init/console.conf etc/init/serial.conf
    {
        echo 'start on stopped rc RUNLEVEL=[2345]'
        echo 'stop on runlevel [!2345]'
        echo respawn
        echo "exec $getty -L 115200 ttyS0 vt100"
    } >"$new"
    put etc/init/ttyS0.conf 644
    edit etc/sysconfig/init 's|^ACTIVE_CONSOLES=$|ACTIVE_CONSOLES=/dev/tty[1-6]|'
elif inside etc/inittab; then
    sed 's|^[^#:]*:[^:]*:respawn:.*getty.*console.*|#container# &|' "$real" >"$new"
    for tty in S0:ttyS0 1:tty1; do
        grep -q "^[^#].*getty.*[[:space:]]${tty#*:}\([[:space:]]\|\$\)" "$new" ||
            echo "${tty%:*}:2345:respawn:$getty -L 115200 ${tty#*:} vt100" >>"$new"
    done
    put etc/inittab 644
fi

# --- Network: from venet0 to eth0, which asks for its address -------------------------------------

for path in $(naming venet0 etc/network/interfaces 'etc/network/interfaces.d/*' \
    'etc/sysconfig/network-scripts/ifcfg-venet0*' 'etc/systemd/network/*' 'etc/netplan/*'); do
    grep -oE '([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-f]+:[0-9a-f:]*:[0-9a-f:]*' "$root/$path" |
        grep -vE '^(0|127|255|191\.255\.255)\.' | sort -u | while read -r address; do
        say note "the container had the address $address"
    done
done

if has sbin/ifup usr/sbin/ifup && inside etc/network/interfaces; then
    # shellcheck disable=SC2046
    drop $(naming venet0 'etc/network/interfaces.d/*')
    inside etc/network/interfaces
    # A stanza reaches to the next one.
    awk '
        $1 ~ /^(auto|allow-.*)$/ { gsub(/[ \t]+venet0[^ \t]*/, ""); skip = NF == 1 }
        $1 ~ /^(iface|mapping)$/ { skip = $2 ~ /^venet0/ }
        $1 ~ /^source/ { skip = 0 }
        /^#/ && /venet0/ { next }
        !skip' "$real" >"$new"
    if [ -z "$(naming '^[^#]*iface eth0' 'etc/network/interfaces' 'etc/network/interfaces.d/*')" ] &&
        [ -z "$(each 'etc/netplan/*' 'etc/systemd/network/*')" ]; then
        printf '\nauto eth0\niface eth0 inet dhcp\n' >>"$new"
        has sbin/dhclient usr/sbin/dhclient sbin/dhcpcd usr/sbin/dhcpcd sbin/udhcpc usr/sbin/udhcpc ||
            say note "there is no DHCP client in the guest: write a fixed address into /etc/network/interfaces"
    fi
    put etc/network/interfaces 644
fi

if inside etc/sysconfig/network-scripts; then
    # shellcheck disable=SC2046
    drop $(each 'etc/sysconfig/network-scripts/ifcfg-venet0*' 'etc/sysconfig/network-scripts/route*-venet0')
    if ! has etc/sysconfig/network-scripts/ifcfg-eth0; then
        printf 'DEVICE=eth0\nTYPE=Ethernet\nBOOTPROTO=dhcp\nONBOOT=yes\n' >"$new"
        put etc/sysconfig/network-scripts/ifcfg-eth0 644
    fi
fi
edit etc/sysconfig/network -e '/^GATEWAYDEV=.*venet0/d' -e '/^IPV6_DEFAULTDEV=.*venet0/d' \
    -e '/^GATEWAY=.*191\.255\.255\.1/d'

# shellcheck disable=SC2046
drop $(naming venet0 'etc/systemd/network/*') $(naming venet0 'etc/netplan/*')
if inside etc/netplan && [ -z "$(each 'etc/netplan/*')" ]; then
    printf 'network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n' >"$new"
    put etc/netplan/60-eth0.yaml 600
elif inside etc/systemd/network && [ "$(each 'etc/systemd/system/*.wants/systemd-networkd.service')" ] &&
    [ -z "$(naming eth0 'etc/systemd/network/*')" ]; then
    printf '[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n' >"$new"
    put etc/systemd/network/60-eth0.network 644
fi

rmdir "$saved" 2>/dev/null || true
echo "ready    root=UUID=$uuid"
