#!/bin/busybox sh
# The first process of the guest: an overlay over the host's root, read-only below; the project and a control folder.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
while read -r module; do $B insmod "/modules/$module"; done < /modules/order
$B mount -t virtiofs -o ro root /lower
$B mount -t tmpfs -o size=1g upper /upper
$B mkdir /upper/changes /upper/work
$B mount -t overlay -o lowerdir=/lower,upperdir=/upper/changes,workdir=/upper/work overlay /new
for folder in proc sys dev dev/pts dev/shm run project control; do $B mkdir -p "/new/$folder"; done
$B mount -t proc proc /new/proc
$B mount -t sysfs sys /new/sys
$B mount -t devtmpfs dev /new/dev
$B mkdir -p /new/dev/pts /new/dev/shm
for link in fd: stdin:/0 stdout:/1 stderr:/2; do $B ln -s "/proc/self/fd${link#*:}" "/new/dev/${link%%:*}"; done
$B mount -t devpts pts /new/dev/pts
$B mount -t tmpfs shm /new/dev/shm
$B mount -t tmpfs run /new/run
$B mount -t tmpfs tmp /new/tmp
$B mount -t tracefs trace /new/sys/kernel/tracing
$B mount -t bpf bpf /new/sys/fs/bpf
$B mount -t cgroup2 cgroup /new/sys/fs/cgroup
$B mount -t virtiofs project /new/project
$B mount -t virtiofs control /new/control
$B ip link set lo up
$B env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    $B chroot /new /bin/bash -c 'cd /project; bash /control/command; echo $? > /control/status'
$B sync
$B poweroff -f
