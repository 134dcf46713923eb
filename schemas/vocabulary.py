"""The one list of event types, a sentence each, and of the channels and directions they may carry.

A type that a vendor sends and that is not here becomes ``interaction.unmapped`` with its raw payload, never an error.
"""

UNMAPPED = "interaction.unmapped"
CONFIGURATION = "configuration.published"
COUNTED = "source.counted"

CHANNELS = frozenset(
    {"voice", "chat", "email", "sms", "social", "in_person", "web", "back_office", "survey", "internal"}
)
DIRECTIONS = frozenset({"inbound", "outbound", "internal"})

TYPES: dict[str, str] = {
    "call.offered": "A call reached the company, or one was placed to a customer.",
    "call.menu_selected": "The caller chose an entry of the voice menu.",
    "call.self_served": "The voice menu settled the call without a person.",
    "call.queued": "The caller began to wait for a person.",
    "call.ringing": "A person's phone rings for the call.",
    "call.answered": "A person took the call.",
    "call.held": "The customer was put on hold.",
    "call.resumed": "The hold ended.",
    "call.transferred": "The call went to another person, queue or number.",
    "call.abandoned": "The caller gave up before a person answered.",
    "call.ended": "The call is over for the customer.",
    "call.wrapped_up": "The agent finished the work after the call.",
    "call.recorded": "A recording of the call is available.",
    "call.voicemail_left": "The caller left a voice message.",
    "callback.requested": "A customer asked to be called back.",
    "callback.attempted": "Somebody tried to call back.",
    "callback.completed": "The call back took place.",
    "chat.started": "A customer opened a chat.",
    "chat.queued": "The chat waits for a person.",
    "chat.accepted": "A person took the chat.",
    "chat.transferred": "The chat went to another person or queue.",
    "chat.abandoned": "The customer left before a person answered.",
    "chat.ended": "The chat is over.",
    "message.received": "A customer wrote.",
    "message.sent": "Somebody, a bot or an automatic rule wrote to a customer.",
    "message.status_changed": "A sent message was delivered, read or failed.",
    "message.edited": "A message was changed by who wrote it.",
    "message.deleted": "A message was taken back by who wrote it.",
    "email.received": "A mail from a customer arrived.",
    "email.sent": "A mail to a customer was sent.",
    "email.bounced": "A sent mail could not be delivered.",
    "email.delayed": "A sent mail is late, and still being tried.",
    "email.auto_replied": "A mail arrived that no person wrote: an absence note, a list, a report.",
    "note.added": "Somebody wrote a note that the customer does not see.",
    "visit.recorded": "A customer was served in person.",
    "social.posted": "Somebody posted in public.",
    "social.reacted": "Somebody reacted to a post or message.",
    "ticket.opened": "A person or rule opened a ticket.",
    "ticket.assigned": "A ticket was given to a queue, team, organisation or person.",
    "ticket.escalated": "A ticket was passed to a higher level or another team.",
    "ticket.prioritised": "A ticket's priority was set.",
    "ticket.status_set": "A ticket's status was set.",
    "ticket.merged": "A ticket was merged into another.",
    "ticket.unmerged": "A merge of tickets was taken back.",
    "ticket.linked": "A ticket was linked to another.",
    "ticket.unlinked": "A link between tickets was removed.",
    "ticket.accepted": "Whom a ticket was given to took it on.",
    "ticket.fields_set": "Custom fields of a ticket were set.",
    "ticket.tagged": "A ticket's tags were set.",
    "ticket.reopened": "A resolved ticket was taken up again.",
    "customer.linked": "A contact point was linked to a customer.",
    "customer.merge_requested": "Somebody says that two customers are one.",
    "customer.split_requested": "Somebody says that a merge was wrong.",
    "customer.context_updated": "A system of record told something of a customer.",
    "agent.signed_in": "An agent began to work.",
    "agent.signed_out": "An agent stopped working.",
    "agent.state_changed": "An agent became available, busy, or took a break.",
    "survey.answered": "A customer rated what was done.",
    "review.scored": "A reviewer scored an interaction.",
    "task.created": "A back-office task was made.",
    "task.submitted": "A task was handed in for approval.",
    "task.approved": "A task was approved.",
    "task.rejected": "A task was sent back.",
    "task.completed": "A task is done.",
    COUNTED: "A source says how many events of a type it has sent.",
    CONFIGURATION: "A bundle of policies and calendars is to come into force.",
    UNMAPPED: "Something a source sent that the hub has no word for; its payload is kept.",
}
