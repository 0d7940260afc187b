# the queue, as qmail-qread shows it
PROGRAMS += pipit-qread
pipit-qread_SRCS := tools/pipit-qread.c send/state.c send/records.c send/lines.c \
	send/hold.c send/hold_file.c

# commands to pipit-send
PROGRAMS += pipit-flush pipit-hold pipit-release pipit-queue-rm
$(foreach p,flush hold release queue-rm,$(eval pipit-$p_SRCS := tools/pipit-$p.c tools/ask.c))

SCRIPTS += tools/pipit-showctl

# who gets mail, by the password database
PROGRAMS += pipit-getpw
pipit-getpw_SRCS := tools/pipit-getpw.c

# text files that an administrator writes, made into cdb files; and the first of them
PROGRAMS += pipit-newu pipit-newmrh pipit-newmailboxes pipit-pw2u
pipit-newu_SRCS := tools/pipit-newu.c tools/assign.c tools/table.c
pipit-pw2u_SRCS := tools/pipit-pw2u.c tools/table.c
pipit-newmrh_SRCS := tools/pipit-newmrh.c tools/table.c
pipit-newmailboxes_SRCS := tools/pipit-newmailboxes.c tools/mailbox-line.c tools/mailbox-put.c \
	tools/mailbox-words.c tools/table.c local/quota.c
t-usersdb_SRCS := tools/assign.c
t-mailboxes_SRCS := tools/mailbox-line.c tools/mailbox-put.c tools/mailbox-words.c local/quota.c

PROGRAMS += pipit-passwd
pipit-passwd_SRCS := tools/pipit-passwd.c tools/table.c auth/passwd.c auth/secret.c
pipit-passwd_LIBS := -lcrypt -lcrypto
$B/tools/pipit-passwd.o: private CC_MORE := -Iauth
