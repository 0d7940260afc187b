REMOTE := remote/deliver.c remote/transact.c remote/session.c remote/conn.c remote/message.c \
  remote/output.c remote/quote.c remote/find.c remote/self.c remote/route.c remote/routewords.c remote/settings.c \
  remote/outcome.c remote/rcpts.c remote/params.c remote/peerlimits.c remote/mxgroup.c remote/confine.c remote/auth.c \
  remote/tls.c remote/tlspolicy.c

# pipit-rspawn, which executes it, has its account too, and needs no library that it does not.
PROGRAMS += pipit-remote
pipit-remote_NAMES := pipit-lmtp pipit-rspawn
pipit-remote_SRCS := remote/pipit-remote.c remote/pipit-lmtp.c remote/worker.c remote/cli.c remote/explain.c $(REMOTE) \
  send/pipit-rspawn.c send/rslot.c send/rworker.c send/rprogram.c
pipit-remote_LIBS := -lcares

PROGRAMS += pipit-authc
pipit-authc_SRCS := remote/pipit-authc.c remote/sasl.c
# No other program that has to do with mail for other hosts links libcrypto.
pipit-authc_LIBS := -lcrypto

t-sasl_SRCS := remote/sasl.c
t-sasl_LIBS := -lcrypto
t-conn_SRCS := remote/conn.c
t-output_SRCS := remote/output.c
t-quote_SRCS := remote/quote.c
t-peerlimits_SRCS := remote/peerlimits.c
t-remote-route_SRCS := remote/route.c remote/routewords.c remote/tlspolicy.c
t-tlspolicy_SRCS := remote/tlspolicy.c
t-mxgroup_SRCS := remote/mxgroup.c
