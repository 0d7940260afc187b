PROGRAMS += pipit-smtpd
pipit-smtpd_SRCS := $(addprefix smtpd/,pipit-smtpd.c access.c client.c commands.c data.c listen.c \
  log.c netlist.c receive.c rules.c session.c sessions.c settings.c sockets.c stream.c worker.c)

t-data_SRCS := smtpd/data.c
