REMOTE := remote/deliver.c remote/transact.c remote/session.c remote/conn.c remote/message.c \
  remote/output.c remote/quote.c remote/find.c remote/self.c remote/route.c remote/settings.c \
  remote/outcome.c remote/rcpts.c remote/params.c remote/peerlimits.c remote/mxgroup.c remote/confine.c \
  remote/tls.c remote/tlspolicy.c

PROGRAMS += pipit-remote
pipit-remote_NAMES := pipit-lmtp
pipit-remote_SRCS := remote/pipit-remote.c remote/pipit-lmtp.c remote/worker.c remote/cli.c $(REMOTE)
pipit-remote_LIBS := -lcares

t-conn_SRCS := remote/conn.c
t-output_SRCS := remote/output.c
t-quote_SRCS := remote/quote.c
t-peerlimits_SRCS := remote/peerlimits.c
t-remote-route_SRCS := remote/route.c
t-tlspolicy_SRCS := remote/tlspolicy.c
t-mxgroup_SRCS := remote/mxgroup.c
