// Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
import java.io.FileInputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Ask {
    public static void main(String[] words) throws Exception {
        URI address = URI.create(words[0]);
        int times = Integer.parseInt(words[1]), redis = Integer.parseInt(words[2]);
        boolean secure = address.getScheme().equals("https");
        SSLContext context = SSLContext.getDefault();
        if (secure) {
            KeyStore authorities = KeyStore.getInstance(KeyStore.getDefaultType());
            authorities.load(null, null);
            try (FileInputStream file = new FileInputStream(words[3])) {
                authorities.setCertificateEntry("lab", CertificateFactory.getInstance("X.509").generateCertificate(file));
            }
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(authorities);
            context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
        }
        System.out.println("ready");
        System.in.read();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).sslContext(context).build();
        for (int i = 0; i < times; i++) {
            client.send(HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString());
        }
        try (Socket line = secure ? context.getSocketFactory().createSocket("localhost", redis) : new Socket("localhost", redis)) {
            byte[] answer = new byte[64];
            for (int i = 0; i < times; i++) {
                line.getOutputStream().write("*1\r\n$4\r\nPING\r\n".getBytes());
                line.getInputStream().read(answer);
            }
        }
        System.exit(0);
    }
}
