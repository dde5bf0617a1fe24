package com.example;

import java.lang.reflect.Field;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.apache.dubbo.common.utils.NetUtils;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.RpcContext;

/**
 * A Dubbo 2 provider and its consumer: `Lab serve PORT` and `Lab call PORT create:7 fail:2 ...`.
 */
public final class Lab {
    public interface Order {
        String create(String card, int amount);

        String fail(String note);

        String slow(int milliseconds);

        void note(String text);
    }

    public interface Absent {
        String find(String key);
    }

    static final class Orders implements Order {
        public String create(String card, int amount) {
            return "made for " + card;
        }

        public String fail(String note) {
            throw new IllegalStateException("no such order: " + note);
        }

        public String slow(int milliseconds) {
            try {
                Thread.sleep(milliseconds);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
            return "late";
        }

        public void note(String text) {
        }
    }

    static ApplicationConfig application() {
        ApplicationConfig application = new ApplicationConfig("shop");
        application.setQosEnable(false);
        return application;
    }

    /** Dubbo connects to an address of the machine's network where it is told the loopback. */
    static void stayOnLoopback() throws Exception {
        Field address = NetUtils.class.getDeclaredField("HOST_ADDRESS");
        address.setAccessible(true);
        address.set(null, "127.0.0.1");
    }

    static void serve(int port) throws Exception {
        ServiceConfig<Order> service = new ServiceConfig<>();
        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        protocol.setHost("127.0.0.1");
        protocol.setThreads(64);
        service.setApplication(application());
        service.setRegistry(new RegistryConfig("N/A"));
        service.setProtocol(protocol);
        service.setInterface(Order.class);
        service.setRef(new Orders());
        service.export();
        new CountDownLatch(1).await();
    }

    static <T> T refer(Class<T> type, int port, String serialization) {
        ReferenceConfig<T> reference = new ReferenceConfig<>();
        MethodConfig note = new MethodConfig();
        note.setName("note");
        note.setReturn(false);
        reference.setApplication(application());
        reference.setInterface(type);
        reference.setUrl("dubbo://127.0.0.1:" + port + "/" + type.getName() + "?heartbeat=60000&serialization=" + serialization);
        reference.setTimeout(Integer.getInteger("lab.timeout", 10000));
        reference.setRetries(0);
        reference.setCheck(false);
        if (type == Order.class) {
            reference.setMethods(java.util.List.of(note));
        }
        return reference.get();
    }

    static void call(Order order, int port, String what) {
        switch (what) {
            case "create": order.create("4111111111111111", 7); break;
            case "fail": order.fail("s3cr3t-note alice@example.org"); break;
            case "slow": order.slow(1500); break;
            case "note": order.note("s3cr3t-note"); break;
            case "absent": refer(Absent.class, port, "hessian2").find("s3cr3t-key"); break;
            default: throw new IllegalArgumentException(what);
        }
    }

    static void parallel(Order order, int count) {
        CompletableFuture<?>[] futures = new CompletableFuture<?>[count];
        for (int number = 0; number < count; number++) {
            futures[number] = RpcContext.getContext().asyncCall(() -> order.create("4111111111111111", 7));
        }
        CompletableFuture.allOf(futures).join();
    }

    public static void main(String[] words) throws Exception {
        int port = Integer.parseInt(words[1]);
        stayOnLoopback();
        if (words[0].equals("serve")) {
            serve(port);
        }
        Order order = refer(Order.class, port, System.getProperty("lab.serialization", "hessian2"));
        for (int at = 2; at < words.length; at++) {
            String[] parts = words[at].split(":");
            int count = Integer.parseInt(parts[1]);
            if (parts[0].equals("parallel")) {
                parallel(order, count);
                continue;
            }
            for (int number = 0; number < count; number++) {
                try {
                    call(order, port, parts[0]);
                } catch (RuntimeException error) {
                    System.out.println(parts[0] + ": " + error.getClass().getName() + (Boolean.getBoolean("lab.verbose") ? " " + error.getMessage() : ""));
                }
            }
        }
        Thread.sleep(Integer.getInteger("lab.linger", 300));
        Runtime.getRuntime().halt(0);
    }
}
