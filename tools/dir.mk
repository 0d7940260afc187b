# what an administrator types: one program with many names
PROGRAMS += pipit-admin
pipit-admin_NAMES := $(addprefix pipit-,flush getpw hold newmailboxes newmrh newu ofmipname pw2u qread queue-rm release verify)
# The queue as qmail-qread shows it; commands to pipit-send; who gets mail, by the password database;
# text files that an administrator writes, made into cdb files, and the first of them.
pipit-admin_SRCS := $(addprefix tools/,pipit-admin.c ask.c assign.c flush.c getpw.c hold.c mailbox-line.c mailbox-put.c \
	mailbox-words.c newmailboxes.c newmrh.c newu.c ofmipname.c pw2u.c qread.c queue-rm.c release.c table.c verify.c) \
	local/quota.c remote/route.c remote/routewords.c remote/tlspolicy.c send/hold.c send/hold_file.c send/lines.c send/records.c send/state.c
t-usersdb_SRCS := tools/assign.c
t-mailboxes_SRCS := tools/mailbox-line.c tools/mailbox-put.c tools/mailbox-words.c local/quota.c

SCRIPTS += tools/pipit-showctl
