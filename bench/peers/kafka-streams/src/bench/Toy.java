package bench;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/** The fold of bench/toy.py in Java, over the same schemas. */
final class Toy {
  static final long HOUR = 3600L * 1_000_000;
  static final int RECENT = 16;

  /** A conversation's ticket. dueAt: of its first answer, null once there is one. */
  static final class Ticket {
    String status = "open";
    long openedAt;
    Long dueAt;
    Long answeredAt;
    boolean breached;
  }

  /** A customer's state. recent: ids of the newest events, to know a second delivery. */
  static final class Customer {
    long sequence;
    final List<String> recent = new ArrayList<>(RECENT + 1);
    final Map<String, Ticket> tickets = new HashMap<>();
  }

  private final Schema entries;

  Toy(Schema entries) {
    this.entries = entries;
  }

  /** Folds an event into its customer's state; null for one that was folded before. */
  GenericRecord fold(Customer state, GenericRecord event) {
    String id = (String) event.get("id");
    if (state.recent.contains(id)) {
      return null;
    }
    state.sequence++;
    state.recent.add(id);
    if (state.recent.size() > RECENT) {
      state.recent.remove(0);
    }
    long at = (Long) event.get("occurred_at");
    String conversation = (String) event.get("conversation");
    Ticket ticket = state.tickets.get(conversation);
    if (ticket == null) {
      ticket = new Ticket();
      ticket.openedAt = at;
      ticket.dueAt = at + HOUR;
      state.tickets.put(conversation, ticket);
    }
    String type = (String) event.get("type");
    if (type.equals("interaction.closed")) {
      ticket.status = "closed";
    } else if (ticket.dueAt != null && event.get("direction").equals("outbound")) {
      ticket.answeredAt = at;
      ticket.breached = at > ticket.dueAt;
      ticket.dueAt = null;
    }
    GenericRecord entry = new GenericData.Record(entries);
    entry.put("id", id);
    entry.put("customer", event.get("customer"));
    entry.put("sequence", state.sequence);
    entry.put("type", type);
    entry.put("ticket", conversation);
    entry.put("status", ticket.status);
    entry.put("occurred_at", at);
    entry.put("channel", event.get("channel"));
    entry.put("summary", event.get("text"));
    entry.put("due_at", ticket.dueAt);
    entry.put("breached", ticket.breached);
    return entry;
  }
}
