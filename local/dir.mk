PROGRAMS += pipit-local
pipit-local_SRCS := local/pipit-local.c local/command.c local/delivery.c local/dotqmail.c \
	local/forward.c local/loop.c local/maildir.c local/mbox.c local/message.c local/report.c
