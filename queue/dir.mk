PROGRAMS += pipit-queued pipit-queue
pipit-queued_SRCS := queue/pipit-queued.c queue/queued.c queue/settings.c queue/children.c queue/session.c \
	queue/message.c queue/newfile.c queue/recycle.c queue/pool.c queue/ids.c queue/trigger.c
pipit-queue_SRCS := queue/pipit-queue.c
