PROGRAMS += pipit-queued
pipit-queued_SRCS := queue/pipit-queued.c queue/queued.c queue/settings.c queue/children.c queue/session.c \
	queue/message.c queue/newfile.c queue/recycle.c queue/pool.c queue/ids.c queue/trigger.c

# Taking messages from programs on this machine: all of this runs with the caller's rights.
PROGRAMS += pipit-inject
pipit-inject_NAMES := pipit-queue pipit-sendmail
pipit-inject_SRCS := queue/pipit-inject.c queue/inject-settings.c queue/inject-rewrite.c \
	queue/inject-header.c queue/inject-input.c queue/pipit-queue.c queue/pipit-sendmail.c
