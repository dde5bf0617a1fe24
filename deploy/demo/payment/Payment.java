// Payment charges for an order: it takes its time, and never asks anybody.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public final class Payment {
    private static final AtomicLong CHARGES = new AtomicLong();
    private static final Path STATE = Path.of(System.getenv("DEMO_STATE"));

    private static double setting(String name) throws IOException {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*([0-9.]+)").matcher(Files.readString(STATE));
        return found.find() ? Double.parseDouble(found.group(1)) : 0.0;
    }

    private static void reply(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static void charge(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().readAllBytes();
        try {
            Thread.sleep(2 + (long) (1000 * setting("extra_s")));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        if (ThreadLocalRandom.current().nextDouble() < setting("error_ratio")) {
            reply(exchange, 500, "{\"error\": \"out of luck\"}");
            return;
        }
        reply(exchange, 201, "{\"charge\": " + CHARGES.incrementAndGet() + "}");
    }

    public static void main(String[] arguments) throws IOException {
        String listen = System.getenv("DEMO_LISTEN");
        int colon = listen.lastIndexOf(':');
        InetSocketAddress address =
                new InetSocketAddress(listen.substring(0, colon), Integer.parseInt(listen.substring(colon + 1)));
        HttpServer server = HttpServer.create(address, 128);
        server.createContext("/charges", Payment::charge);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
