import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Sends, sends without an answer, and reads back: arguments are the name server and how often. */
public class Shop {
    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[1]);
        DefaultMQProducer producer = new DefaultMQProducer("shop");
        producer.setNamesrvAddr(arguments[0]);
        producer.setSendMsgTimeout(10000);
        producer.start();
        for (int n = 0; n < count; n++)
            producer.send(new Message("orders", "{\"card\":\"4111111111111111\"}".getBytes()));
        for (int n = 0; n < count; n++)
            producer.sendOneway(new Message("orders", "s3cr3t-oneway".getBytes()));
        CountDownLatch answered = new CountDownLatch(count);
        for (int n = 0; n < count; n++)
            producer.send(new Message("orders", "s3cr3t-async".getBytes()), new SendCallback() {
                public void onSuccess(SendResult result) { answered.countDown(); }
                public void onException(Throwable error) { System.out.println(error); answered.countDown(); }
            });
        answered.await(20, TimeUnit.SECONDS);
        CountDownLatch seen = new CountDownLatch(2 * count);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("billing");
        consumer.setNamesrvAddr(arguments[0]);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe("orders", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> seen.countDown());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        System.out.println("all read: " + seen.await(30, TimeUnit.SECONDS));
        try {
            producer.send(new Message("no topic of this name, s3cr3t", new byte[1]));
        } catch (Exception expected) {
            System.out.println(expected.getClass().getSimpleName());
        }
        consumer.shutdown();
        producer.shutdown();
        System.exit(0);
    }
}
