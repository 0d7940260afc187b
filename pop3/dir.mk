# pipit-pop3d runs as the user whose mail it gives, as the programs of dot-qmail lines do: it is one more
# name of theirs.
pipit-helper_NAMES += pipit-pop3d
pipit-helper_SRCS += pop3/pop3d.c pop3/mailbox.c smtpd/stream.c remote/output.c local/sizefile.c local/quota.c
