PROGRAMS += pipit-queued pipit-queue
pipit-queued_SRCS := queue/pipit-queued.c queue/queued.c queue/settings.c queue/children.c queue/session.c \
	queue/message.c queue/newfile.c queue/recycle.c queue/pool.c queue/ids.c queue/trigger.c
pipit-queue_SRCS := queue/pipit-queue.c

# taking messages from programs on this machine
PROGRAMS += pipit-inject
pipit-inject_NAMES := pipit-sendmail
pipit-inject_SRCS := queue/pipit-inject.c queue/inject-settings.c queue/inject-rewrite.c \
	queue/inject-header.c queue/inject-input.c queue/pipit-sendmail.c
