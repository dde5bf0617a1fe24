# Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a line first.
require "net/http"
require "openssl"
require "socket"

uri, times, redis, authority = URI(ARGV[0]), ARGV[1].to_i, ARGV[2].to_i, ARGV[3]
secure = uri.scheme == "https"
STDOUT.puts "ready"
STDOUT.flush
STDIN.gets
options = secure ? { use_ssl: true, ca_file: authority } : {}
Net::HTTP.start(uri.host, uri.port, options) do |client|
  times.times { client.get(uri.path).body }
end
line = TCPSocket.new("localhost", redis)
if secure
  context = OpenSSL::SSL::SSLContext.new
  context.set_params(ca_file: authority)
  line = OpenSSL::SSL::SSLSocket.new(line, context)
  line.hostname = "localhost"
  line.sync_close = true
  line.connect
end
times.times do
  line.write("*1\r\n$4\r\nPING\r\n")
  line.gets
end
line.close
