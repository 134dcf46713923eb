package bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams with the toy fold, one thread, its own defaults otherwise.
 *
 * <p>Arguments: bootstrap, source, prefix, events, folder, event.avsc, entry.avsc, processing guarantee, store (memory or
 * rocksdb). Prints what was measured from the first event processed until the offsets of all are committed, as JSON.
 */
public final class Peer {
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  private static final CountDownLatch ALL = new CountDownLatch(1);
  private static long[] began; // written and read by the one thread, then by main after the latch
  private static double[] half;
  private static long count;

  private Peer() {}

  private static long[] now() {
    return new long[] {System.nanoTime(), SYSTEM.getProcessCpuTime()};
  }

  private static double[] since() {
    long[] at = now();
    return new double[] {(at[0] - began[0]) / 1e9, (at[1] - began[1]) / 1e9};
  }

  /** One task's fold: state from the store, one entry out. */
  private record Step(Toy toy, long events) {
    Processor<String, GenericRecord, String, GenericRecord> processor() {
      return new Processor<>() {
        private ProcessorContext<String, GenericRecord> context;
        private KeyValueStore<String, Toy.Customer> store;

        @Override
        public void init(ProcessorContext<String, GenericRecord> given) {
          context = given;
          store = given.getStateStore("customers");
        }

        @Override
        public void process(Record<String, GenericRecord> record) {
          if (began == null) {
            began = now();
          }
          Toy.Customer state = store.get(record.key());
          if (state == null) {
            state = new Toy.Customer();
          }
          GenericRecord entry = toy.fold(state, record.value());
          if (entry != null) {
            store.put(record.key(), state);
            context.forward(record.withValue(entry));
          }
          count++;
          if (count == events / 2) {
            half = since();
          }
          if (count == events) {
            context.commit();
            ALL.countDown();
          }
        }
      };
    }
  }

  public static void main(String[] given) throws Exception {
    String source = given[1];
    String prefix = given[2];
    long events = Long.parseLong(given[3]);
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "streams");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given[0]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, given[4]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, given[7]);
    settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    settings.put(StreamsConfig.producerPrefix("acks"), "all");
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", given[0]))) {
      KafkaStreams streams = new KafkaStreams(topology(source, prefix, events, given), settings);
      streams.start();
      ALL.await();
      while (committed(admin, prefix + "streams") < events) {
        Thread.sleep(10);
      }
      tell(prefix, events);
    }
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private static Topology topology(String source, String prefix, long events, String[] given) throws IOException {
    Schema event = schema(given[5]);
    Schema entry = schema(given[6]);
    KeyValueBytesStoreSupplier where =
        given[8].equals("memory")
            ? Stores.inMemoryKeyValueStore("customers")
            : Stores.persistentKeyValueStore("customers");
    Step step = new Step(new Toy(entry), events);
    Topology topology = new Topology();
    topology.addSource("log", new StringDeserializer(), new Serdes.Events(event), source);
    topology.addProcessor("fold", step::processor, "log");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(where, org.apache.kafka.common.serialization.Serdes.String(), new Serdes.States())
            .withCachingEnabled(),
        "fold");
    topology.addSink("out", prefix + "entries", new StringSerializer(), new Serdes.Entries(entry), "fold");
    return topology;
  }

  private static Schema schema(String file) throws IOException {
    Schema schema = new Schema.Parser().parse(Path.of(file).toFile());
    for (Schema.Field field : schema.getFields()) { // as String, not as Avro's own Utf8, which a fold can't compare
      Schema plain = field.schema();
      for (Schema each : plain.isUnion() ? plain.getTypes() : java.util.List.of(plain)) {
        if (each.getType() == Schema.Type.STRING) {
          if (each.getObjectProp(GenericData.STRING_PROP) == null) {
            GenericData.setStringType(each, GenericData.StringType.String);
          }
        }
      }
    }
    return schema;
  }

  private static long committed(Admin admin, String group) throws Exception {
    return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values().stream()
        .mapToLong(each -> each == null ? 0 : each.offset())
        .sum();
  }

  private static void tell(String prefix, long events) {
    double[] whole = since();
    System.out.println(
        String.format(
            Locale.ROOT,
            "{\"contender\":\"kafka-streams\",\"events\":%d,\"seconds\":%f,\"cpu_seconds\":%f,"
                + "\"lap\":{\"events\":%d,\"seconds\":%f,\"cpu_seconds\":%f}}",
            events, whole[0], whole[1], events / 2, half[0], half[1]));
  }
}
