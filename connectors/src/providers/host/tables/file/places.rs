//! The files that `host_file` looks at, with the reason why.

/// Single files and directories. One that is not there has a row that says so.
pub(super) const PLACES: [(&str, &str); 41] = [
    ("account_database", "/etc/passwd"),
    ("account_database", "/etc/passwd-"),
    ("account_database", "/etc/group"),
    ("account_database", "/etc/group-"),
    ("password_database", "/etc/shadow"),
    ("password_database", "/etc/shadow-"),
    ("password_database", "/etc/gshadow"),
    ("password_database", "/etc/gshadow-"),
    ("password_database", "/etc/security/opasswd"),
    ("privilege", "/etc/sudoers"),
    ("privilege", "/etc/sudoers.d"),
    ("privilege", "/etc/pam.d"),
    ("ssh_server", "/etc/ssh/sshd_config"),
    ("ssh_server", "/etc/ssh/sshd_config.d"),
    ("schedule", "/etc/crontab"),
    ("schedule", "/etc/cron.d"),
    ("schedule", "/etc/cron.hourly"),
    ("schedule", "/etc/cron.daily"),
    ("schedule", "/etc/cron.weekly"),
    ("schedule", "/etc/cron.monthly"),
    ("schedule", "/var/spool/cron"),
    ("boot", "/boot/grub/grub.cfg"),
    ("boot", "/boot/grub2/grub.cfg"),
    ("trust", "/etc/hosts.equiv"),
    ("trust", "/root/.rhosts"),
    ("loader", "/etc/ld.so.preload"),
    ("loader", "/etc/ld.so.conf"),
    ("environment", "/etc/profile"),
    ("environment", "/etc/environment"),
    ("environment", "/etc/bash.bashrc"),
    ("names", "/etc/hosts"),
    ("names", "/etc/nsswitch.conf"),
    ("names", "/etc/resolv.conf"),
    ("banner", "/etc/issue"),
    ("banner", "/etc/issue.net"),
    ("banner", "/etc/motd"),
    ("mounts", "/etc/fstab"),
    ("temporary", "/tmp"),
    ("temporary", "/var/tmp"),
    ("temporary", "/dev/shm"),
    ("container", "/run/docker.sock"),
];

/// Files that have a row when they are there.
pub(super) const PATTERNS: [(&str, &str); 8] = [
    ("privilege", "/etc/sudoers.d/*"),
    ("ssh_server", "/etc/ssh/sshd_config.d/*.conf"),
    ("ssh_host_key", "/etc/ssh/ssh_host_*_key"),
    ("ssh_host_public_key", "/etc/ssh/ssh_host_*_key.pub"),
    ("schedule", "/etc/cron.d/*"),
    ("schedule", "/etc/cron.hourly/*"),
    ("schedule", "/etc/cron.daily/*"),
    ("schedule", "/etc/cron.weekly/*"),
];

/// Where programs with set-ID bits are looked for.
pub(super) const PROGRAM_DIRECTORIES: [&str; 6] =
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin"];
