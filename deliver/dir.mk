# what lines of dot-qmail files call: one program with many names
PROGRAMS += pipit-helper
pipit-helper_SRCS := $(addprefix deliver/,pipit-helper.c child.c dotforward.c expand.c fastforward.c forward.c helper.c \
  judge.c mailhead.c maildir2mbox.c maildirmake.c maillist.c newaliases.c preline.c printforward.c \
  qreceipt.c queue.c setforward.c vacation.c vacation-decide.c vacation-memory.c vacation-reply.c)
pipit-helper_NAMES := bouncesaying condredirect datemail dot-forward except fastforward forward maildir2mbox \
  maildirmake mailsubj newaliases newinclude pipit-vacation predate preline printforward printmaillist \
  qmail-autoresponder qreceipt setforward setmaillist vacation
