package bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;

/** Events and entries as Avro after five bytes of header, states as msgpack: byte for byte what bench/toy.py writes. */
final class Serdes {
  private static final byte[] HEADER = {0, 0, 0, 0, 1};

  private Serdes() {}

  /** Reads events; keeps its reader and decoder, as Avro advises. */
  static final class Events implements Deserializer<GenericRecord> {
    private final GenericDatumReader<GenericRecord> reader;
    private BinaryDecoder decoder;

    Events(Schema schema) {
      reader = new GenericDatumReader<>(schema);
    }

    @Override
    public GenericRecord deserialize(String topic, byte[] data) {
      try {
        decoder = DecoderFactory.get().binaryDecoder(data, HEADER.length, data.length - HEADER.length, decoder);
        return reader.read(null, decoder);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  /** Writes entries. */
  static final class Entries implements Serializer<GenericRecord> {
    private final GenericDatumWriter<GenericRecord> writer;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(512);
    private BinaryEncoder encoder;

    Entries(Schema schema) {
      writer = new GenericDatumWriter<>(schema);
    }

    @Override
    public byte[] serialize(String topic, GenericRecord entry) {
      try {
        out.reset();
        out.write(HEADER, 0, HEADER.length);
        encoder = EncoderFactory.get().directBinaryEncoder(out, encoder);
        writer.write(entry, encoder);
        encoder.flush();
        return out.toByteArray();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  /** Writes and reads states. */
  static final class States implements Serde<Toy.Customer> {
    @Override
    public Serializer<Toy.Customer> serializer() {
      return (topic, state) -> state == null ? null : write(state);
    }

    @Override
    public Deserializer<Toy.Customer> deserializer() {
      return (topic, data) -> data == null ? null : read(data);
    }

    private static byte[] write(Toy.Customer state) {
      try (MessageBufferPacker to = MessagePack.newDefaultBufferPacker()) {
        to.packArrayHeader(3).packLong(state.sequence).packArrayHeader(state.recent.size());
        for (String id : state.recent) {
          to.packString(id);
        }
        to.packMapHeader(state.tickets.size());
        for (Map.Entry<String, Toy.Ticket> each : state.tickets.entrySet()) {
          Toy.Ticket ticket = each.getValue();
          to.packString(each.getKey()).packArrayHeader(5).packString(ticket.status).packLong(ticket.openedAt);
          instant(to, ticket.dueAt);
          instant(to, ticket.answeredAt);
          to.packBoolean(ticket.breached);
        }
        return to.toByteArray();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    private static Toy.Customer read(byte[] data) {
      try (MessageUnpacker from = MessagePack.newDefaultUnpacker(data)) {
        Toy.Customer state = new Toy.Customer();
        from.unpackArrayHeader();
        state.sequence = from.unpackLong();
        for (int left = from.unpackArrayHeader(); left > 0; left--) {
          state.recent.add(from.unpackString());
        }
        for (int left = from.unpackMapHeader(); left > 0; left--) {
          Toy.Ticket ticket = new Toy.Ticket();
          state.tickets.put(from.unpackString(), ticket);
          from.unpackArrayHeader();
          ticket.status = from.unpackString();
          ticket.openedAt = from.unpackLong();
          ticket.dueAt = from.tryUnpackNil() ? null : (Long) from.unpackLong();
          ticket.answeredAt = from.tryUnpackNil() ? null : (Long) from.unpackLong();
          ticket.breached = from.unpackBoolean();
        }
        return state;
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    private static void instant(MessageBufferPacker to, Long at) throws IOException {
      if (at == null) {
        to.packNil();
      } else {
        to.packLong(at);
      }
    }
  }
}
