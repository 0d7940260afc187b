# the queue, as qmail-qread shows it
PROGRAMS += pipit-qread
pipit-qread_SRCS := tools/pipit-qread.c send/route.c send/state.c send/records.c send/lines.c
