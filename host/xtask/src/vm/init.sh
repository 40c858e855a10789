#!/bin/sh
# The first and only program the throw-away machine starts by itself. `stage` comes from the kernel's command line.
export PATH=/bin
/bin/busybox --install -s /bin
# The kernel's first root can never be left behind, as a task with a root of its own must: put another one on it.
if [ -z "$rooted" ]; then
  mount -o bind / /mnt && cd /mnt && mount -o move . / && rooted=1 exec chroot . /init
  echo "FAILED to make a root"
fi
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /sys/fs/cgroup /dev/pts /dev/shm
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
for module in $(cat /modules/order); do
  insmod /modules/$module.ko || echo "FAILED to load $module"
done
mount -t ext4 /dev/vda /data || echo "FAILED to mount the disk"
hostname throw-away
echo "BOOTED $stage"
. /waiting.sh
. /scenario.sh
echo "FAILED: the scenario of stage $stage came to its end"
poweroff -f
