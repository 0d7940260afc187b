PROGRAMS += pipit-lspawn
pipit-lspawn_NAMES := pipit-local pipit-start
pipit-lspawn_SRCS := send/pipit-lspawn.c send/lspawn-child.c send/lspawn-worker.c send/lspawn-known.c local/worker.c \
	local/pipit-local.c send/pipit-start.c $(LOCAL_SRCS)
# It is forked, or as pipit-local executed, for every address that gets mail: the fewer libraries, the
# less there is to copy or to load.
pipit-lspawn_LIBS := -l:libcdb.a -l:libskarnet.a

# the scheduler
PROGRAMS += pipit-send
SEND_COMMON := send/lines.c send/state.c send/records.c send/report.c send/log.c
SEND_BOUNCE := send/bounce.c send/bounce_put.c send/bounce_status.c send/bounce_text.c
pipit-send_SRCS := send/pipit-send.c send/children.c send/command.c send/command_peer.c send/compose.c send/deliver.c \
	send/destination.c send/feeder.c send/group.c send/health.c send/held.c send/hold.c send/hold_file.c \
	send/idset.c send/journal.c send/keeper.c send/keeper_bounce.c send/keeper_files.c send/keeper_hold.c \
	send/keeper_link.c send/keeper_state.c send/limits.c send/load.c send/message.c send/message_file.c \
	send/nexthop.c send/park.c send/pool.c send/queue_scan.c send/removal.c send/result.c send/retry.c \
	send/send_log.c send/settings.c send/waiting.c send/walk.c remote/route.c remote/routewords.c remote/tlspolicy.c $(SEND_COMMON) $(SEND_BOUNCE)
t-retry_SRCS := send/retry.c
t-health_SRCS := send/health.c
t-limits_SRCS := send/limits.c
t-group_SRCS := send/group.c send/park.c send/health.c send/limits.c send/waiting.c send/idset.c
t-state_SRCS := send/state.c send/lines.c
t-report_SRCS := send/report.c
t-waiting_SRCS := send/waiting.c send/idset.c
t-hold_SRCS := send/hold.c send/hold_file.c send/lines.c
t-destination_SRCS := send/destination.c send/group.c send/park.c send/health.c send/limits.c \
  send/waiting.c send/idset.c remote/route.c remote/routewords.c remote/tlspolicy.c
