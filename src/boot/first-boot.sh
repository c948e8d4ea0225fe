#!/bin/sh
# Changes a container's files at its first boot as a machine: run by the initramfs, below the guest's
# own kernel, after the journal of the root file system was replayed and before its init starts.
#
#   first-boot.sh [ROOT [LOG]]    ROOT: where the root file system is mounted; LOG: what gets a line
#                                 for each change (both are found where they are not given)
#
# What to do lies beside this script: a folder of files for each change, so that no name of the guest
# is ever read as a command. It may be ended at any point and run again; what it replaces is kept in
# a folder of the guest, as a rule /root/from-container. A change that fails is told and passed over;
# the next boot tries it again, where the guest still has what the container had. An initramfs has few
# programs, and each family others: cat, ln, mkdir, mount and mv are in all of them.
# shellcheck disable=SC2317 # functions that each calls by their names
here=${0%/*}
root=${1:-${rootmnt:-${NEWROOT:-/sysroot}}}
log=${2:-/dev/kmsg}
# Where what is replaced is kept, below $root.
place=$(cat "$here/kept")
kept=$root/$place
# A line with the plan that was carried out and with $later, and one for each change that failed: its
# number, with ! from before it is tried until it is known how that ended.
mark=$kept/.first-boot
# What the container did not have: a run that was ended made it, and it is not the container's.
absent=$kept/.absent

# echo would read a name's backslashes.
say() { { printf '<5>ploopconv: %s\n' "$*" >>"$log"; } 2>/dev/null || printf 'ploopconv: %s\n' "$*" 2>/dev/null >/dev/console; }

# can PROGRAM: whether this initramfs has it.
can() { command -v "$1" >/dev/null 2>&1; }

# all_of FILE: its bytes in $bytes, newlines at its end included.
all_of() {
    bytes=$(cat "$1" && echo x) || return
    bytes=${bytes%x}
}

# plain PATH: whether folders alone lead to it: a link could lead out of the guest. $at is where not.
plain() {
    rest=$1 at=$root
    while :; do
        case $rest in
        */*) at=$at/${rest%%/*} rest=${rest#*/} ;;
        *) return 0 ;;
        esac
        if [ -L "$at" ] || [ ! -d "$at" ]; then return 1; fi
    done
}

there() { [ -e "$1" ] || [ -L "$1" ]; }

# same FILE FILE: whether both have the same text.
same() { [ "$(cat "$1" && echo x)" = "$(cat "$2" && echo x)" ]; }

# drop PATH: takes a file or a folder away for good.
drop() {
    there "$1" || return 0
    if can rm; then rm -rf "$1"; elif can nuke; then nuke "$1"; else return 1; fi
}

# flush: everything that was written reaches the disk.
flush() {
    if can sync; then
        sync
    else
        remount ro && remount rw
    fi
}

# remount ro|rw: klibc's mount wants a device, too.
remount() { mount -o "remount,$1" "$device" "$root"; }

# mode_of CHANGE FILE: what a umask cannot give a new file.
mode_of() {
    # The owner first: a new one clears the bits that run a program as its owner.
    if [ -e "$1/owner" ]; then
        if can chown; then chown "$(cat "$1/owner")" "$2"; else chroot "$root" /bin/chown "$(cat "$1/owner")" "${2#"$root"}"; fi || return
    fi
    if [ -e "$1/mode" ]; then
        if can chmod; then chmod "$(cat "$1/mode")" "$2"; else chroot "$root" /bin/chmod "$(cat "$1/mode")" "${2#"$root"}"; fi || return
    fi
}

# keep CHANGE: a copy of the file that is going to be written; complete or absent, and made once.
keep() {
    case $what in write | link) ;; *) return 0 ;; esac
    if there "$saved" || there "$absent/${saved##*/}"; then return 0; fi
    if ! plain "$path"; then
        # Where nothing is, another change makes the folder; a link tells nothing of the file.
        there "$at" || : >"$absent/${saved##*/}"
        return
    fi
    there "$file" || : >"$absent/${saved##*/}"
    [ "$what" = write ] && [ -f "$file" ] && [ ! -L "$file" ] || return 0
    (umask 077 && cat "$file" >"$saved.part") && mv "$saved.part" "$saved" && return
    drop "$saved.part"
    return 1
}

# over CHANGE: writes over a file, which keeps its owner, its mode and its attributes. A disk that is
# full must not cost what it had: a copy beside it shows that there is room.
over() {
    (umask 077 && cat "$1/contents" >"$saved.part") && drop "$saved.part" && cat "$1/contents" >"$file" && return
    drop "$saved.part"
    there "$saved" && ! same "$file" "$saved" && cat "$saved" >"$file"
    return 1
}

# away FILE AS: moves it to what is kept.
away() {
    if there "$2" || there "$absent/${saved##*/}"; then
        # From a run that was ended, or of another plan: the first one is the container's.
        drop "$1"
    else
        mv "$1" "$2"
    fi
}

# carry_out CHANGE
carry_out() {
    case $what in
    write)
        if [ -L "$file" ] || there "$file" && [ ! -f "$file" ]; then return 1; fi
        if [ -f "$file" ] && [ ! -e "$1/alone" ]; then
            over "$1"
            return
        fi
        new=$file.ploopconv-new
        drop "$new"
        (umask "$(cat "$1/umask")" && cat "$1/contents" >"$new") && mode_of "$1" "$new" && mv "$new" "$file" && return
        drop "$new"
        return 1
        ;;
    remove) if there "$file"; then away "$file" "$saved"; fi ;;
    empty)
        [ -d "$file" ] && [ ! -L "$file" ] || return 0
        [ -d "$saved" ] || (umask 077 && mkdir "$saved") || return
        for inside in "$file"/* "$file"/.[!.]* "$file"/..?*; do
            if there "$inside"; then away "$inside" "$saved/${inside##*/}" || return; fi
        done
        ;;
    link)
        all_of "$1/target" && target=$bytes || return
        if there "$file"; then
            if [ -d "$file" ] && [ ! -L "$file" ]; then return 1; fi
            away "$file" "$saved" || return
        fi
        ln -s "$target" "$file"
        ;;
    mkdir)
        there "$file" && return 0
        (umask "$(cat "$1/umask")" && mkdir "$file") && mode_of "$1" "$file"
        ;;
    esac
}

# untouched: whether the guest still has what the container had, so that nothing of its own is lost.
untouched() {
    if ! plain "$path"; then return 0; fi
    if there "$absent/${saved##*/}"; then
        ! there "$file"
    elif there "$saved"; then
        case $what in
        write) [ -f "$file" ] && same "$file" "$saved" ;;
        link) ! there "$file" ;;
        esac
    fi
}

# about CHANGE: what it is of, in $what, $path, $file, $saved.
about() {
    what=$(cat "$1/what")
    all_of "$1/path" && path=$bytes
    all_of "$1/saved" && saved=$kept/$bytes$later
    file=$root/$path
}

# is_due NAME: whether it is to be done at this boot.
is_due() {
    case " $due " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# each COMMAND: for every change that is due and did not fail.
each() {
    for change in "$here"/changes/*; do
        if ! is_due "${change##*/}" || [ -e "$change/failed" ]; then continue; fi
        about "$change"
        if ! plain "$path"; then
            # It may be one that another change makes.
            [ "$1" = carry_out ] || { "$1" "$change" 2>/dev/null && continue; }
            : >"$change/failed"
            [ "$what" = keep ] || say "not done, its folder is another: $(cat "$change/say")"
        elif ! "$1" "$change" 2>/dev/null; then
            : >"$change/failed"
            say "not done: $(cat "$change/say")"
        elif [ "$1" = carry_out ]; then
            say "$(cat "$change/say")"
        fi
    done
}

# copy FROM TO: a folder with all that is in it. Without cp the guest's own sees it for a moment.
copy() {
    if can cp; then
        cp -r "$1" "$2"
        return
    fi
    seen=$place/.seen
    if can chroot && [ -x "$root/bin/cp" ] && mkdir -p "$root/$seen" && mount -o bind "$1" "$root/$seen"; then
        chroot "$root" /bin/cp -r "/$seen" "${2#"$root"}"
        copied=$?
        umount "$root/$seen"
        [ $copied = 0 ] && return
        drop "$2"
    fi
    copy_slowly "$1" "$2"
}

# The same by the shell alone.
copy_slowly() {
    mkdir "$2" || return
    for entry in "$1"/*; do
        if [ -d "$entry" ]; then
            copy_slowly "$entry" "$2/${entry##*/}" || return
        elif [ -e "$entry" ]; then
            cat "$entry" >"$2/${entry##*/}" || return
        fi
    done
}

# The kernel's modules; the last file of their archive tells that memory was enough for all.
modules() {
    [ -e "$here/modules/complete" ] || {
        [ -e "$here/modules" ] || return 0
        say "the kernel's modules were not unpacked: too little memory"
        return 1
    }
    folder=$(cat "$here/modules/folder") version=$(cat "$here/modules/version")
    to=$root/$folder/$version
    if plain "$folder" && ! there "$root/$folder"; then (umask 022 && mkdir "$root/$folder"); fi
    if ! plain "$folder/x"; then
        say "not done: no place for the kernel's modules"
        return 1
    fi
    drop "$to.ploopconv-new"
    if there "$to"; then return 0; fi
    if (umask 022 && copy "$here/modules/$version" "$to.ploopconv-new") 2>/dev/null && flush && mv "$to.ploopconv-new" "$to"; then
        say "modules of the kernel $version are in /$folder"
    else
        drop "$to.ploopconv-new"
        say "not done: the kernel's modules (too little room?)"
        return 1
    fi
}

# note SIGN: writes what is due into the mark.
note() {
    (umask 077 && {
        echo "$plan $later" || exit
        for name in $due; do echo "$name$1" || exit; done
    } >"$mark.new") && mv "$mark.new" "$mark" || return
    # Where that cannot be, a power failure may cost a note, and nothing else.
    flush || :
}

# Drivers of network cards, of the guest's modules: not every initramfs has them, and a guest without
# udev gets none by itself.
cards() {
    can modprobe || return 0
    for card in /sys/bus/virtio/devices/* /sys/bus/pci/devices/*; do
        if there "$card/driver" || [ ! -e "$card/modalias" ]; then continue; fi
        case $card/$(cat "$card/class" 2>/dev/null) in
        /sys/bus/virtio/* | */0x02*) modprobe -q -d "$root" "$(cat "$card/modalias")" 2>/dev/null ;;
        esac
    done
}

# what_is_due: the numbers of the changes in $due; fails where there is nothing to do or to note.
what_is_due() {
    due='' later='' known='' settled='' plan=$(cat "$here/plan")
    short=.${plan%"${plan#????????}"}
    if [ -f "$mark" ] && [ ! -L "$mark" ]; then
        read -r known later <"$mark"
        # What a plan before this one replaced keeps its name.
        [ "$known" = "$plan" ] || later=$short
    else
        # So does what somebody else put there.
        for entry in "$kept"/*; do
            if there "$entry"; then later=$short; fi
        done
    fi
    if [ "$known" != "$plan" ]; then
        for change in "$here"/changes/*; do
            if [ -d "$change" ]; then due="$due ${change##*/}"; fi
        done
        due="$due modules"
        return
    fi
    while read -r name; do
        case $name in
        "$plan"*) ;;
        *!) due="$due ${name%!}" ;;
        modules) due="$due $name" ;;
        *)
            about "$here/changes/$name"
            if untouched; then
                due="$due $name"
            else
                settled=yes
                say "left as it was changed since: /$path"
            fi
            ;;
        esac
    done <"$mark"
    [ "$due$settled" ]
}

all() {
    if [ -L "${kept%/*}" ] || [ -L "$kept" ]; then
        say "nothing is changed: /$place is a link, or lies in one"
        return
    fi
    for folder in "${kept%/*}" "$kept" "$absent"; do
        [ -d "$folder" ] || (umask 077 && mkdir "$folder") 2>/dev/null || {
            say "nothing is changed: no folder can be made for what is replaced (too little room?)"
            return
        }
    done
    note ! || {
        say "nothing is changed: what was done could not be noted (too little room?)"
        return
    }
    each keep
    flush
    each carry_out
    failed=
    if is_due modules && ! modules; then failed=modules; fi
    flush
    for name in $due; do
        if [ -e "$here/changes/$name/failed" ]; then failed="$failed $name"; fi
    done
    due=$failed
    [ "$due" ] || drop "$absent"
    note ''
}

# An old init mounts memory there, and does not make the folder.
[ -d /dev/shm ] || mkdir /dev/shm 2>/dev/null

if [ -d "$root" ] && what_is_due; then
    was=ro device=none
    while read -r source point _ options _; do
        if [ "$point" = "$root" ]; then
            device=$source
            case ,$options, in *,rw,*) was=rw ;; *) was=ro ;; esac
        fi
    done </proc/mounts
    if [ $was = rw ] || remount rw; then
        say "the first boot as a machine: what is replaced is kept in /$place"
        all
        [ $was = rw ] || remount ro
    else
        say "nothing is changed: the root file system cannot be written"
    fi
fi
cards
# They take memory until they are gone.
drop "$here/modules"
exit 0
