PROGRAMS += pipit-smtpd
pipit-smtpd_SRCS := $(addprefix smtpd/,pipit-smtpd.c access.c client.c commands.c data.c listen.c \
  log.c netlist.c params.c receive.c rules.c session.c sessions.c settings.c sockets.c stream.c worker.c)
# tcpserver starts it for each connection, and loading two libraries is a fifth of what that costs.
pipit-smtpd_LIBS := -Wl,-Bstatic -lcdb -lskarnet -Wl,-Bdynamic

t-data_SRCS := smtpd/data.c
