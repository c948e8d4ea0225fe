# shellcheck shell=sh disable=SC2016
[ ! -f /scripts/init-bottom/ORDER ] ||
    echo 'sh /ploopconv/first-boot.sh "$rootmnt"' >>/scripts/init-bottom/ORDER
