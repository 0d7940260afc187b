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
