// Shows, for every class of mistake, the message and the exact place it names: a configuration is written by
// people, and this is what they see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/load.h"

namespace beamgate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> errors_of(std::string_view text) {
  const LoadResult result = load_text(text, {}, "f");
  EXPECT_FALSE(result.ok()) << text;
  std::vector<std::string> out;
  for (const Diagnostic& error : result.errors) out.push_back(error.text());
  return out;
}

std::vector<std::string> warnings_of(std::string_view text) {
  const LoadResult result = load_text(text, {}, "f");
  EXPECT_TRUE(result.ok()) << report(result);
  std::vector<std::string> out;
  for (const Diagnostic& warning : result.warnings) out.push_back(warning.text());
  return out;
}

// The one error of a statement in a block; columns count from the block's own line.
std::string in(std::string_view block, std::string_view statement) {
  std::string text;
  if (block == "main") text = "\n" + std::string(statement) + "\n";
  if (block == "events") text = "events {\n" + std::string(statement) + "\n}";
  if (block == "http") text = "http {\n" + std::string(statement) + "\n}";
  if (block == "server") text = "http { server { listen 1;\n" + std::string(statement) + "\n} }";
  if (block == "location") {
    text = "http { server { listen 1; location / {\n" + std::string(statement) + "\n} } }";
  }
  if (block == "upstream")
    text = "http { upstream u { server 127.0.0.1;\n" + std::string(statement) + "\n} }";
  if (block == "webhook") {
    text = "http { webhook w { url http://h/; secret 0123456789abcdef;\n" + std::string(statement) + "\n} }";
  }
  if (block == "token") {
    text = "http { token t { secret 0123456789abcdef0123456789abcdef;\n" + std::string(statement) + "\n} }";
  }
  const LoadResult result = load_text(text, {}, "f");
  if (result.ok()) return "no error";
  return result.errors.size() == 1 ? result.errors[0].text() : "several errors: " + report(result);
}

TEST(Errors, Unknown) {
  EXPECT_EQ(in("server", "  lisen 80;"), "f:2:3: unknown directive \"lisen\", did you mean \"listen\"?");
  EXPECT_EQ(in("main", "quite_unheard_of;"), "f:2:1: unknown directive \"quite_unheard_of\"");
  EXPECT_EQ(in("server", "sss on;"), "f:2:1: unknown directive \"sss\", did you mean \"sse\"?");
}

// What an editor hides is shown, and what a terminal would act on never reaches it.
TEST(Errors, InvisibleBytesAreShown) {
  EXPECT_THAT(errors_of("\u00a0events { }"),
              ElementsAre("f:1:1: unknown directive \"\\xC2\\xA0events\", did you mean \"events\"?"));
  EXPECT_THAT(errors_of("daemon\u200b off;"), ElementsAre(HasSubstr("\"daemon\\xE2\\x80\\x8B\"")));
  EXPECT_EQ(in("main", "daemon '\x1b[31m\r\nred';"),
            "f:2:8: invalid value \"\\x1B[31m\\x0D\\x0Ared\" in \"daemon\" directive: expected \"on\" or \"off\"");
  EXPECT_THAT(in("main", "daemon \xff\x9b;"), HasSubstr("\"\\xFF\\x9B\""));
  EXPECT_THAT(in("main", "daemon \"größe 中\";"), HasSubstr("\"größe 中\""));
  EXPECT_EQ(visible("a\tb\u202ec\x7f"), "a\\x09b\\xE2\\x80\\xAEc\\x7F");
  const LoadResult marked = load_text("\xEF\xBB\xBFpid x;\n\xEF\xBB\xBF", {}, "f");
  EXPECT_FALSE(marked.ok()) << "one at the beginning of a file is none elsewhere";
  EXPECT_THAT(warnings_of("\xEF\xBB\xBFpid x;"), SizeIs(0));
}

// An unquoted "{4}" would open a block that nothing ends, and the error would stand at the end of the file.
TEST(Errors, BracesOfRegularExpressions) {
  EXPECT_EQ(in("server", "rewrite ^/user/([0-9]{4})/ /u/$1 permanent;"),
            "f:2:22: a \"{\" outside of quotes begins a block: put what begins with \"^/user/([0-9]\" in quotes if the brace "
            "belongs to it, as in a regular expression");
  EXPECT_THAT(in("server", "location ~ ^/a{2}$ {\n}"), HasSubstr("f:2:15: a \"{\" outside of quotes"));
  EXPECT_THAT(in("server", "location ~ ^/a{2,}b { }"), HasSubstr("\"^/a\" in quotes"));
  EXPECT_EQ(in("server", "rewrite \"^/user/([0-9]{4})/\" /u/$1 permanent;"), "no error");
  EXPECT_EQ(in("server", "location ~ '^/a{2}$' { }"), "no error");
  EXPECT_EQ(in("server", "location /a{} location /b{return 200;}"), "no error");
  EXPECT_EQ(in("location", "return 200 ${host}s;"), "no error");
}

TEST(Errors, WrongPlace) {
  EXPECT_EQ(in("http", "listen 80;"),
            "f:2:1: \"listen\" directive is not allowed here, in http; it belongs in server or line");
  EXPECT_EQ(
      in("main", " proxy_read_timeout 1s;"),
      "f:2:2: \"proxy_read_timeout\" directive is not allowed here, in main; it belongs in http, server or "
      "location");
  EXPECT_EQ(in("location", "server { }"),
            "f:2:1: \"server\" directive is not allowed here, in location; it belongs in http or upstream");
}

TEST(Errors, WrongArity) {
  EXPECT_EQ(in("main", "pid;"),
            "f:2:1: invalid number of arguments in \"pid\" directive: expected 1, found 0");
  EXPECT_EQ(in("main", "user a b c;"),
            "f:2:1: invalid number of arguments in \"user\" directive: expected 1 to 2, found 3");
  EXPECT_EQ(in("server", "server_name;"),
            "f:2:1: invalid number of arguments in \"server_name\" directive: expected at least 1, found 0");
  EXPECT_EQ(in("main", "http x { }"),
            "f:2:1: invalid number of arguments in \"http\" directive: expected none, found 1");
  EXPECT_EQ(in("main", "include a b;"),
            "f:2:1: invalid number of arguments in \"include\" directive: expected 1, found 2");
}

TEST(Errors, BadValueWithItsRange) {
  EXPECT_EQ(in("events", "worker_connections 0;"),
            "f:2:20: invalid value \"0\" in \"worker_connections\" directive: expected a number from 1 to "
            "16000000");
  EXPECT_EQ(in("events", "worker_connections many;"),
            "f:2:20: invalid value \"many\" in \"worker_connections\" directive: expected a number from 1 to "
            "16000000");
  EXPECT_EQ(
      in("http", "websocket_message_max 65m;"),
      "f:2:23: invalid value \"65m\" in \"websocket_message_max\" directive: expected a size from 1 to 64m");
  EXPECT_EQ(in("webhook", "timeout 11m;"),
            "f:2:9: invalid value \"11m\" in \"timeout\" directive: expected a time from 1ms to 10m");
  EXPECT_EQ(in("main", "daemon yes;"),
            "f:2:8: invalid value \"yes\" in \"daemon\" directive: expected \"on\" or \"off\"");
}

TEST(Errors, Duplicates) {
  EXPECT_EQ(in("main", "pid a;\n pid b;"), "f:3:2: \"pid\" directive is duplicate, first at f:2");
  EXPECT_THAT(errors_of("http { }\nhttp { }"),
              ElementsAre("f:2:1: \"http\" directive is duplicate, first at f:1"));
  EXPECT_EQ(in("server", "location /a { }\nlocation /a { }"), "f:3:1: duplicate location \"/a\"");
  EXPECT_EQ(in("server", "location /a { }\nlocation ^~ /a { }"), "f:3:1: duplicate location \"/a\"");
  EXPECT_EQ(in("server", "location /a { }\nlocation = /a { }"), "no error");
  EXPECT_EQ(in("server", "listen 1;"), "f:2:1: a duplicate listen 0.0.0.0:1");
  EXPECT_EQ(in("http", "upstream a { server [::1]; }\nupstream a { server [::1]; }"),
            "f:3:1: duplicate upstream \"a\"");
  EXPECT_EQ(in("http", "log_format a x;\nlog_format a y;"), "f:3:1: duplicate \"log_format\" name \"a\"");
  EXPECT_EQ(in("http", "log_format combined y;"), "f:2:1: duplicate \"log_format\" name \"combined\"");
}

TEST(Errors, MissingSemicolon) {
  EXPECT_EQ(in("main", "pid x\ndaemon off;"),
            "f:2:1: directive \"pid\" is not terminated by \";\" before \"daemon\" at f:3");
  EXPECT_EQ(in("main", "pid x\nevents { }"),
            "f:2:1: directive \"pid\" is not terminated by \";\" before \"events\" at f:3");
  EXPECT_EQ(in("main", "daemon off { }"), "f:2:11: directive \"daemon\" is not terminated by \";\"");
  EXPECT_THAT(errors_of("events {\n worker_connections 5\n}"),
              ElementsAre("f:3:1: unexpected \"}\", expecting \";\" after \"5\""));
  EXPECT_THAT(errors_of("pid x"),
              ElementsAre("f:1:6: unexpected end of file, expecting \";\" or \"}\" after \"pid\""));
}

TEST(Errors, MissingBraces) {
  EXPECT_THAT(errors_of("http {\n server {\n listen 1;\n }\n"),
              ElementsAre("f:5:1: unexpected end of file, expecting \"}\" for \"http\" at f:1"));
  EXPECT_THAT(errors_of("events { }\n}"), ElementsAre("f:2:1: unexpected \"}\""));
  EXPECT_EQ(in("main", "events;"), "f:2:7: directive \"events\" has no opening \"{\"");
  EXPECT_THAT(errors_of("{ }"), ElementsAre("f:1:1: unexpected \"{\""));
  EXPECT_THAT(errors_of("pid x;;"), ElementsAre("f:1:7: unexpected \";\""));
}

TEST(Errors, LexicalErrorsStopTheFile) {
  EXPECT_THAT(errors_of("pid 'x;\n"), ElementsAre("f:1:5: the string that starts with ' is not closed"));
  EXPECT_THAT(errors_of("pid 'x'y;"), ElementsAre("f:1:8: unexpected \"y\" after a closing quote"));
}

TEST(Errors, SeveralAreReportedInTheirOrder) {
  EXPECT_THAT(errors_of("http {\n server { bad; }\n}\npid;\nevents { worker_connections x; }"),
              ElementsAre(HasSubstr("f:2:11:"), HasSubstr("f:4:1:"), HasSubstr("f:5:29:")));
}

TEST(Errors, NumberOfErrorsIsBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "nonsense;\n";
  EXPECT_EQ(errors_of(text).size(), Diagnostics::kDiagnosticsMax);
  text.clear();
  for (int i = 0; i < 60; ++i) text += "embedded_file a ?;\n";
  EXPECT_EQ(errors_of(text + "control unix:/x;").size(), Diagnostics::kDiagnosticsMax) << "what it sets up is not read any more";
}

TEST(Errors, OneActionForEachLocation) {
  EXPECT_EQ(in("location", "status;\nproxy_pass http://127.0.0.1;"),
            "f:3:1: \"proxy_pass\" is a second action for this location, after \"status\" at f:2");
  EXPECT_EQ(in("location", "return 200;\nproxy_pass http://127.0.0.1;"), "no error");
  EXPECT_EQ(in("location", "websocket echo;\n api on;"),
            "f:3:2: \"api\" is a second action for this location, after \"websocket\" at f:2");
  EXPECT_EQ(in("location", "status;\nmetrics off;"), "no error");
  EXPECT_EQ(in("location", "root /a;\nproxy_pass http://127.0.0.1;"), "no error");
  EXPECT_EQ(in("location", "root /a;\nalias /b;"),
            "f:2:1: \"root\" and \"alias\" can't both be given in a location");
}

TEST(Errors, Variables) {
  EXPECT_EQ(in("location", "return 200 $nope;"), "f:2:12: unknown \"nope\" variable");
  EXPECT_EQ(in("location", "return 200 'a$';"),
            "f:2:12: invalid value \"a$\" in \"return\" directive: invalid variable name at byte 2");
  EXPECT_EQ(in("http", "add_header X $nope;"), "f:2:14: unknown \"nope\" variable");
  EXPECT_EQ(in("http", "log_format a '$remote_addr $nope';"), "f:2:14: unknown \"nope\" variable");
  EXPECT_EQ(in("server", "location ~ ^/(?<room>.+)$ { return 200 $room; }"), "no error");
  EXPECT_EQ(in("server", "location ~ ^/(?<room>.+)$ { }\nlocation /a { return 200 $room; }"),
            "f:3:26: unknown \"room\" variable");
  EXPECT_EQ(in("server", "websocket_publish $room; location ~ ^/(?<room>.+)$ { websocket raw; }"),
            "no error");
  EXPECT_EQ(in("server", "server_name '~^(?<user>.+)\\.x$'; location / { return 200 $user; }"), "no error");
  EXPECT_EQ(in("server", "location ~ ^/(?<a>.+)$ { location ~ x { return 200 $a; } }"), "no error");
}

TEST(Errors, Listen) {
  const std::string prefix = "f:2:8: invalid value ";
  EXPECT_EQ(in("server", "listen 65536;"),
            prefix + "\"65536\" in \"listen\" directive: expected a port from 0 to 65535");
  EXPECT_THAT(in("server", "listen 1.2.3.4:x;"), HasSubstr("expected a port from 0 to 65535"));
  EXPECT_THAT(in("server", "listen [::1;"), HasSubstr("expected \"]\" after an IPv6 address"));
  EXPECT_THAT(in("server", "listen [::g]:80;"), HasSubstr("invalid IPv6 address"));
  EXPECT_THAT(in("server", "listen unix:;"), HasSubstr("expected a path after \"unix:\""));
  EXPECT_THAT(in("server", "listen unix:/" + std::string(200, 'x') + ";"), HasSubstr("at most 107 bytes"));
  EXPECT_EQ(in("server", "listen 2 ssl;"),
            "f:2:1: no \"ssl_certificate\" is defined for the \"listen ... ssl\" of 0.0.0.0:2");
  EXPECT_THAT(warnings_of("http { server { listen 2 so_keepalive=on deferred; } }"),
              ElementsAre("f:1:26: the parameter \"so_keepalive\" of \"listen\" is ignored: it is left to the kernel's settings",
                          HasSubstr("\"deferred\"")));
  EXPECT_THAT(in("server", "listen 2 fast;"), HasSubstr("expected \"ssl\", \"http2\", \"default_server\""));
  EXPECT_THAT(in("server", "listen 2 quic;"), HasSubstr("\"quic\" is not supported"));
  EXPECT_EQ(in("server", "listen 2 http2;"), "no error");
  EXPECT_THAT(in("server", "http2 maybe;"), HasSubstr("expected \"on\" or \"off\""));
  EXPECT_THAT(in("server", "listen 2 backlog=0;"), HasSubstr("expected a number from 1 to 1048576"));
  EXPECT_EQ(in("server", "listen 2 reuseport bind backlog=5 ipv6only=on default_server;"), "no error");
}

TEST(Errors, ListenConflictsBetweenServers) {
  EXPECT_EQ(
      in("http", "server { listen 2 default_server; }\nserver { server_name b; listen 2 default_server; }"),
      "f:3:25: a duplicate default server for 0.0.0.0:2");
  EXPECT_EQ(in("http", "server { listen 2 backlog=5; }\nserver { server_name b; listen 2 backlog=6; }"),
            "f:3:25: duplicate listen options for 0.0.0.0:2");
  EXPECT_THAT(
      warnings_of("http { server { listen 2; server_name a; }\n server { listen 2; server_name A; } }"),
      ElementsAre("f:2:2: conflicting server name \"a\" on 0.0.0.0:2, ignored"));
}

TEST(Errors, ServerNames) {
  for (const char* name : {"a*b", "*", "*.", "*.a.*", "a.*.b", "*a.b", "a/b"}) {
    EXPECT_THAT(in("server", std::string("server_name ") + name + ";"), HasSubstr("expected a host name"))
        << name;
  }
  EXPECT_THAT(in("server", "server_name ~a(;"), HasSubstr("at offset 2"));
  EXPECT_THAT(in("server", "server_name ~;"), HasSubstr("expected a regular expression"));
}

TEST(Errors, Locations) {
  EXPECT_EQ(
      in("server", "location ~ a( { }"),
      "f:2:12: invalid value \"a(\" in \"location\" directive: missing closing parenthesis at offset 2");
  EXPECT_THAT(in("server", "location ! /a { }"), HasSubstr("expected \"=\", \"^~\", \"~\" or \"~*\""));
  EXPECT_THAT(in("server", "location a { }"), HasSubstr("expected a pattern that starts with \"/\""));
  EXPECT_THAT(in("server", "location /b { location @a { } }"), HasSubstr("a named location belongs into a server"));
  EXPECT_EQ(in("server", "location /a {\nlocation /b { } }"),
            "f:3:1: location \"/b\" is outside location \"/a\"");
  EXPECT_EQ(in("server", "location = /a {\nlocation /a/b { } }"),
            "f:3:1: location \"/a/b\" cannot be inside the exact location \"/a\"");
  EXPECT_EQ(in("server", "location /a { location /a/b { location ~ x { } } }"), "no error");
}

TEST(Errors, Returns) {
  for (const char* bad : {"199", "600", "abc", "-1", "/path"}) {
    EXPECT_THAT(in("location", std::string("return ") + bad + ";"),
                HasSubstr("expected a status from 200 to 599"));
  }
  EXPECT_THAT(in("location", "return 301 'http://x/\\r\\nSet-Cookie: a';"), HasSubstr("no line break"));
}

TEST(Errors, HeadersCantBeForged) {
  EXPECT_THAT(in("location", "add_header 'X Y' z;"), HasSubstr("expected the name of an HTTP field"));
  EXPECT_THAT(in("location", "add_header X 'a\\r\\nb';"), HasSubstr("no line break"));
  EXPECT_THAT(in("location", "add_header X y sometimes;"), HasSubstr("expected \"always\""));
  EXPECT_THAT(in("location", "proxy_set_header 'X:' y;"), HasSubstr("expected the name of an HTTP field"));
  EXPECT_THAT(in("http", "real_ip_header 'a b';"), HasSubstr("expected the name of an HTTP field"));
}

TEST(Errors, AccessRules) {
  for (const char* bad : {"1.2.3", "1.2.3.4/33", "::1/129", "localhost", "1.2.3.4/", "1.2.3.4/x", ""}) {
    EXPECT_THAT(in("location", std::string("allow '") + bad + "';"), HasSubstr("expected an address")) << bad;
  }
  EXPECT_THAT(in("http", "set_real_ip_from all;"), HasSubstr("expected an address"));
  EXPECT_THAT(warnings_of("http { server { listen 1; deny 10.1.2.3/8; } }"),
              ElementsAre("f:1:32: low address bits of 10.1.2.3/8 are meaningless"));
}

TEST(Errors, MessagesThatNoQueueTakes) {
  const auto with = [](const std::string& location) {
    return warnings_of("http { websocket_message_max 2m; server { listen 1; location / { " + location + " } } }");
  };
  EXPECT_THAT(with("websocket echo;"),
              ElementsAre("f:1:53: websocket_message_max lets clients send messages of 2097152 bytes, and a "
                          "websocket_send_queue of 1048576 takes none so large"));
  EXPECT_THAT(with("websocket raw; websocket_publish room;"), SizeIs(1));
  EXPECT_THAT(with("websocket raw; websocket_subscribe room;"), SizeIs(0)) << "they are the application's";
  EXPECT_THAT(with("websocket echo; websocket_send_queue 2m;"), SizeIs(0));
}

TEST(Errors, RealClients) {
  EXPECT_THAT(in("location", "set_real_ip_from all;"), HasSubstr("expected an address"));
  EXPECT_THAT(in("location", "real_ip_recursive yes;"), HasSubstr("expected \"on\" or \"off\""));
  EXPECT_EQ(in("location", "set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol; real_ip_recursive on;"), "no error");
  EXPECT_THAT(in("location", "proxy_protocol v3;"), HasSubstr("expected \"on\", \"off\", \"v1\" or \"v2\""));
  EXPECT_EQ(in("location", "proxy_protocol v2;"), "no error");
  EXPECT_THAT(in("location", "underscores_in_headers on;"), HasSubstr("not allowed here"));
}

TEST(Errors, Limits) {
  const std::string zones = "limit_req_zone $uri zone=r:8k rate=1r/s; limit_conn_zone $uri zone=c:8k; ";
  const auto zone = [](const std::string& text) { return in("http", "limit_req_zone $uri " + text + ";"); };
  EXPECT_EQ(zone("zone=a:8k rate=1r/m"), "no error");
  for (const char* bad : {"zone=a rate=1r/s", "zone=:8k rate=1r/s", "zone=a:7k rate=1r/s", "zone=a:2g rate=1r/s",
                          "a:8k rate=1r/s", "zone=a:x rate=1r/s"}) {
    EXPECT_THAT(zone(bad), HasSubstr("expected zone=name:size")) << bad;
  }
  for (const char* bad : {"rate=0r/s", "rate=1r/h", "rate=1", "rate=-1r/s", "rate=r/s", "1r/s", "rate=9999999r/s"}) {
    EXPECT_THAT(zone(std::string("zone=a:8k ") + bad), HasSubstr("expected rate=number")) << bad;
  }
  EXPECT_THAT(zone("zone=a:8k rate=1r/s; limit_conn_zone $uri zone=a:8k"), HasSubstr("exists already"));
  EXPECT_THAT(in("http", "limit_conn_zone $nothing zone=a:8k;"), HasSubstr("unknown \"nothing\" variable"));
  const auto use = [&](const std::string& text) { return in("http", zones + text); };
  EXPECT_EQ(use("limit_req zone=r burst=60000 nodelay; limit_conn c 1;"), "no error");
  EXPECT_THAT(use("limit_req zone=c;"), HasSubstr("expected a zone of limit_req_zone"));
  EXPECT_THAT(use("limit_req zone=x;"), HasSubstr("expected a zone of limit_req_zone"));
  EXPECT_THAT(use("limit_req burst=1;"), HasSubstr("needs zone=name"));
  EXPECT_THAT(use("limit_req zone=r burst=60001;"), HasSubstr("from 0 to 60000"));
  EXPECT_THAT(use("limit_req zone=r later;"), HasSubstr("expected zone=name, burst=number"));
  EXPECT_THAT(use("limit_req zone=r; limit_req zone=r;"), HasSubstr("duplicate limit"));
  EXPECT_THAT(use("limit_conn r 1;"), HasSubstr("expected a zone of limit_conn_zone"));
  EXPECT_THAT(use("limit_conn c 0;"), HasSubstr("from 1 to"));
  EXPECT_THAT(use("limit_conn c 1; limit_conn c 2;"), HasSubstr("duplicate limit"));
  EXPECT_THAT(use("limit_req_status 399;"), HasSubstr("from 400 to 599"));
  EXPECT_THAT(use("limit_conn_log_level debug;"), HasSubstr("expected \"info\""));
  EXPECT_THAT(use("limit_rate x;"), HasSubstr("expected a size"));
  EXPECT_THAT(in("main", "memory_limit x;"), HasSubstr("expected a size"));
}

TEST(Errors, Proxying) {
  EXPECT_EQ(in("location", "proxy_pass https://127.0.0.1;"), "no error");
  EXPECT_THAT(in("location", "proxy_pass ftp://127.0.0.1;"), HasSubstr("expected http://host"));
  EXPECT_THAT(in("location", "proxy_pass 127.0.0.1;"), HasSubstr("expected http://host"));
  EXPECT_THAT(in("location", "proxy_pass http://unix:/$host;"), HasSubstr("a unix socket can't have variables"));
  EXPECT_THAT(in("location", "proxy_pass http://a$nothing;"), HasSubstr("nothing"));
  EXPECT_THAT(in("location", "proxy_pass $host;"), HasSubstr("expected http://"));
  EXPECT_THAT(in("location", "proxy_pass 'http://127.0.0.1/a b';"), HasSubstr("space or control byte"));
  EXPECT_THAT(in("location", "proxy_pass http://unix:/a:b;"), HasSubstr("starts with \"/\""));
  EXPECT_THAT(in("location", "proxy_pass http://;"), HasSubstr("expected a host"));
  EXPECT_THAT(in("location", "proxy_pass http://nowhere.invalid;"), HasSubstr("f:2:12: invalid value"));
  EXPECT_THAT(in("server", "location ~ x { proxy_pass http://127.0.0.1/y; }"),
              HasSubstr("no URI part can stand here"));
  EXPECT_EQ(in("server", "location ~ x { proxy_pass http://127.0.0.1; }"), "no error");
  EXPECT_THAT(in("upstream", "server ::1;"), HasSubstr("expected a host"));
  EXPECT_THAT(in("upstream", "server 127.0.0.1 weight=0;"), HasSubstr("expected a number from 1 to 65535"));
  EXPECT_THAT(in("upstream", "server 127.0.0.1 route=a;"), HasSubstr("not supported"));
  EXPECT_THAT(in("upstream", "server 127.0.0.1 max_fails=x;"), HasSubstr("expected a number from 0 to"));
  EXPECT_THAT(in("upstream", "server 127.0.0.1 fail_timeout=2d;"), HasSubstr("expected a time from 0ms to 1d"));
  EXPECT_THAT(in("upstream", "server 127.0.0.1 slow_start=2d;"), HasSubstr("expected a time from 0ms to 1d"));
  EXPECT_THAT(in("upstream", "server 127.0.0.1 max_conns=-1;"), HasSubstr("expected a number"));
  EXPECT_EQ(in("upstream", "server 127.0.0.2 max_fails=0 max_conns=0 slow_start=0;"), "no error");
  EXPECT_EQ(in("upstream", "least_conn;\nip_hash;"),
            "f:3:1: \"ip_hash\" is a second balancing method for this upstream");
  EXPECT_THAT(in("upstream", "hash $uri constant;"), HasSubstr("expected \"consistent\""));
  EXPECT_THAT(in("upstream", "hash $nothing_known;"), HasSubstr("unknown \"nothing_known\" variable"));
  EXPECT_THAT(in("upstream", "random three;"), HasSubstr("expected \"two\""));
  EXPECT_THAT(in("upstream", "random two least_time;"), HasSubstr("expected \"least_conn\""));
  EXPECT_THAT(in("upstream", "ip_hash; server 127.0.0.2 backup;"), HasSubstr("can't be used with hash"));
  EXPECT_EQ(in("upstream", "least_conn; server 127.0.0.2 backup slow_start=1s;"), "no error");
  EXPECT_THAT(in("upstream", "health_check uri=up;"), HasSubstr("starts with \"/\""));
  EXPECT_THAT(in("upstream", "health_check status=99;"), HasSubstr("from 200 to 599"));
  EXPECT_THAT(in("upstream", "health_check status=400-200;"), HasSubstr("from 200 to 599"));
  EXPECT_THAT(in("upstream", "health_check interval=1ms;"), HasSubstr("expected a time from 100ms"));
  EXPECT_THAT(in("upstream", "health_check mandatory;"), HasSubstr("not supported"));
  EXPECT_EQ(in("upstream", "health_check;"), "no error");
  EXPECT_THAT(in("http", "resolver dns.example;"), HasSubstr("expected the address of a name server"));
  EXPECT_THAT(in("http", "resolver 127.0.0.1 valid=1ms;"), HasSubstr("at least 100ms"));
  EXPECT_EQ(in("http", "resolver 127.0.0.1 [::1]:54 valid=5s ipv6=off;"), "no error");
  EXPECT_THAT(in("location", "proxy_next_upstream http_501;"), HasSubstr("\"http_502\""));
  EXPECT_THAT(in("location", "proxy_next_upstream off error;"), HasSubstr("\"off\" alone"));
  EXPECT_THAT(in("location", "proxy_http_version 2;"), HasSubstr("expected \"1.0\" or \"1.1\""));
  EXPECT_THAT(in("location", "proxy_hide_header 'X:';"), HasSubstr("expected the name of an HTTP field"));
  EXPECT_THAT(in("location", "fastcgi_pass nowhere;"), HasSubstr("no port, and no upstream of this name"));
  EXPECT_THAT(in("location", "fastcgi_pass $host:9000;"), HasSubstr("variables are not supported"));
  EXPECT_THAT(in("location", "fastcgi_pass 127.0.0.1:1; proxy_pass http://127.0.0.1;"), HasSubstr("second action"));
  EXPECT_THAT(in("location", "fastcgi_param A b if_empty;"), HasSubstr("expected \"if_not_empty\""));
  EXPECT_THAT(in("location", "fastcgi_param A $nothing_known;"), HasSubstr("unknown \"nothing_known\" variable"));
  EXPECT_THAT(in("location", "fastcgi_split_path_info ^(.+)$;"), HasSubstr("two captures"));
  EXPECT_THAT(in("location", "fastcgi_split_path_info (;"), HasSubstr("at offset"));
  EXPECT_EQ(in("location", "fastcgi_split_path_info ^(.+\\.php)(/.+)$; fastcgi_pass 127.0.0.1:1;"), "no error");
  EXPECT_THAT(in("webhook", "fastcgi_pass nowhere;"), HasSubstr("expected host:port or unix:path"));
  EXPECT_THAT(in("webhook", "fastcgi_pass 127.0.0.1:9;"), HasSubstr("no \"script_filename\""));
  EXPECT_THAT(in("webhook", "fastcgi_pass 127.0.0.1:9; script_filename /x; unix_socket /y;"),
              HasSubstr("no \"unix_socket\""));
  EXPECT_EQ(in("webhook", "fastcgi_pass 127.0.0.1:9; script_filename /x;"), "no error");
  EXPECT_THAT(in("location", "gzip_types html;"), HasSubstr("expected a media type"));
  EXPECT_THAT(in("location", "gzip_proxied off any;"), HasSubstr("\"off\" alone"));
  EXPECT_THAT(in("location", "gzip_proxied some;"), HasSubstr("\"no_etag\""));
  EXPECT_THAT(in("location", "gzip_comp_level 10;"), HasSubstr("from 1 to 9"));
  EXPECT_THAT(in("location", "gzip_disable (;"), HasSubstr("at offset"));
  EXPECT_THAT(in("location", "gzip_static some;"), HasSubstr("\"always\""));
  EXPECT_EQ(in("location", "gzip on; gzip_types *; gzip_disable msie6;"), "no error");
  EXPECT_THAT(in("location", "proxy_redirect on;"), HasSubstr("expected \"default\", \"off\""));
  EXPECT_THAT(in("location", "proxy_redirect ~x y;"), HasSubstr("regular expressions are not supported"));
  EXPECT_THAT(in("location", "proxy_cookie_path default;"), HasSubstr("expected \"off\" or two values"));
  EXPECT_EQ(in("http", "upstream u { keepalive 5; }"), "f:2:1: no servers are inside upstream \"u\"");
  EXPECT_EQ(in("http", "upstream u { server 127.0.0.1 backup; }"),
            "f:2:1: no servers are inside upstream \"u\"");
}

TEST(Errors, Webhooks) {
  EXPECT_EQ(in("http", "webhook w { secret 0123456789abcdef; }"), "f:2:1: no \"url\" in webhook \"w\"");
  EXPECT_THAT(in("http", "webhook w { secret 0123456789abcdef; url ftp://x/; }"),
              HasSubstr("expected http://"));
  EXPECT_THAT(in("http", "webhook w { secret 0123456789abcdef; url http:///x; }"),
              HasSubstr("expected http://"));
  EXPECT_THAT(in("webhook", "on_error maybe;"), HasSubstr("expected \"allow\" or \"deny\""));
  EXPECT_THAT(in("webhook", "forward_headers 'a b';"), HasSubstr("expected a field name"));
  for (const char* field : {"Beamgate-User", "ce-id", "webhook-id", "Host", "Content-Length", "Connection"}) {
    EXPECT_THAT(in("webhook", std::string("forward_headers ") + field + ";"),
                HasSubstr("can't be forwarded"));
  }
  EXPECT_THAT(in("location", "webhook nobody;"), HasSubstr("no webhook block of this name"));
  EXPECT_THAT(warnings_of("http { webhook w { url http://h/; } }"),
              ElementsAre("f:1:8: no \"secret\" in webhook \"w\": its calls are not signed"));
}

TEST(Errors, Tokens) {
  EXPECT_EQ(in("http", "token t { }"), "f:2:1: no \"secret\" and no \"jwks\" in token \"t\"");
  EXPECT_THAT(in("http", "token off { secret 0123456789abcdef0123456789abcdef; }"), HasSubstr("expected a name"));
  EXPECT_THAT(in("token", "user_claim \"\";"), HasSubstr("expected the name of a claim"));
  EXPECT_THAT(in("token", "jwks /nowhere/keys.json;"), HasSubstr("f:2:6: cannot read \"/nowhere/keys.json\""));
  for (const char* name : {"websocket_token", "sse_token", "longpoll_token"}) {
    EXPECT_THAT(in("location", std::string(name) + " nobody;"), HasSubstr("no token block of this name"));
  }
  EXPECT_THAT(errors_of("embedded_file /keys AAAA; http { token t { jwks /keys; } }"),
              ElementsAre(HasSubstr("f:1:49: no JWK set in \"/keys\": ")));
  EXPECT_EQ(in("token", "secret 1123456789abcdef0123456789abcdef; secret 2123456789abcdef0123456789abcdef;"),
            "f:2:49: invalid value in \"secret\" directive: more than two secrets");
  EXPECT_THAT(warnings_of("http { token t { secret 0123456789abcdef; } }"),
              ElementsAre("f:1:25: this \"secret\" is shorter than 32 bytes and can be guessed"));
}

// Files come from nginx.
TEST(Errors, DirectivesOfNginxThatAreNoneHere) {
  EXPECT_EQ(in("http", "auth_basic closed;"), "f:2:1: unknown directive \"auth_basic\": an application decides who may do "
                                              "what; allow and deny look at addresses");
  EXPECT_THAT(in("main", "stream { server { listen 1; proxy_pass x; } }"), HasSubstr("only HTTP is passed on"));
  EXPECT_THAT(in("http", "nchan_redis_url x;"), HasSubstr("beamgate-migration(7)"));
  const char* text = "events { use epoll; } http { sendfile on; server { listen 1; location / { tcp_nodelay on; } } }";
  EXPECT_THAT(warnings_of(text), ElementsAre(HasSubstr("f:1:10: \"use\" is ignored: each worker waits with epoll"),
                                             HasSubstr("\"sendfile\" is ignored"), HasSubstr("\"tcp_nodelay\" is ignored")));
}

// Of the examples that everybody has: unicorn's, nginx's own, a WordPress site's.
TEST(Errors, FilesOfNginxLoad) {
  const LoadResult unicorn = load_text(R"(worker_processes 1; error_log /tmp/nginx.error.log;
    events { worker_connections 1024; accept_mutex off; use epoll; }
    http { include mime.types; default_type application/octet-stream; access_log /tmp/nginx.access.log combined;
      sendfile on; tcp_nopush on; tcp_nodelay off;
      upstream app_server { server unix:/path/to/.unicorn.sock fail_timeout=0; server 127.0.0.1:81 fail_timeout=0 max_fails=3; }
      server { listen 80 default deferred; client_max_body_size 4G; server_name _; keepalive_timeout 5;
        root /path/to/app/current/public; try_files $uri/index.html $uri.html $uri @app; error_log logs/one.log;
        location @app { proxy_set_header Host $http_host; proxy_redirect off; proxy_pass http://app_server; }
        error_page 500 502 503 504 /500.html; location = /500.html { root /path/to/app/current/public; } } })", {}, "f");
  ASSERT_TRUE(unicorn.ok()) << report(unicorn);
  EXPECT_EQ(unicorn.config->http.upstreams.at("app_server")->servers[1].max_fails, 0u) << "never put aside";
  const LoadResult packaged = load_text(R"(user root; worker_processes auto; pid /run/nginx.pid;
    events { worker_connections 768; multi_accept on; }
    http { sendfile on; tcp_nopush on; types_hash_max_size 2048; server_tokens off; keepalive_timeout 65 60; default_type text/html;
      log_format main '$remote_addr - $remote_user [$time_local] "$request" $status'; access_log /var/log/access.log main buffer=32k flush=5s;
      error_log /var/log/error.log; gzip on; gzip_vary on; ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on;
      server { listen 80 so_keepalive=on; listen [::]:80; root /var/www/html; index index.html index.htm; server_name _; autoindex off;
        location / { try_files $uri $uri/ =404; } location ~ /\.ht { deny all; } } })", {}, "f");
  EXPECT_TRUE(packaged.ok()) << report(packaged);
}

// None of them is a slip of somebody who meant another one.
TEST(Errors, DirectivesOfNginxAreNoSlips) {
  EXPECT_EQ(in("server", "ssl on;"), "f:2:1: unknown directive \"ssl\": \"listen ... ssl\" turns TLS on");
  for (const char* text : {"port_in_redirect off;", "ssl_stapling_verify on;", "ssl_buffer_size 4k;", "lingering_timeout 5s;",
                           "client_body_temp_path /tmp;", "ssl off;", "autoindex off;", "etag on;", "merge_slashes on;",
                           "proxy_pass_request_body on;", "proxy_cache off;", "open_file_cache_valid 30s;"}) {
    EXPECT_EQ(in("server", text), "no error") << text;
    EXPECT_THAT(warnings_of("http { server { listen 1; " + std::string(text) + " } }"), ElementsAre(HasSubstr("is ignored: "))) << text;
  }
  for (const char* text : {"autoindex on;", "etag off;", "proxy_pass_request_body off;", "charset utf-8;", "expires 1h;",
                           "sub_filter a b;", "uwsgi_pass x;", "limit_except GET { deny all; }"}) {
    EXPECT_THAT(in("location", text), HasSubstr("unknown directive")) << text;
    EXPECT_THAT(in("location", text), testing::Not(HasSubstr("did you mean"))) << text;
  }
}

// What loads, and can hardly be meant so.
TEST(Errors, Doubts) {
  const auto in_location = [](const std::string& location, const std::string& http = "") {
    return warnings_of("http { " + http + " server { listen 80;\nlocation / { " + location + " } } }");
  };
  EXPECT_THAT(in_location("websocket raw;"), ElementsAre("f:2:1: nothing comes of this \"websocket raw\": there is no webhook, "
                                                         "websocket_publish, websocket_subscribe or websocket_token"));
  EXPECT_THAT(in_location("websocket raw; websocket_subscribe a;"), SizeIs(0));
  EXPECT_THAT(in_location("websocket raw; add_header X-Id $connection_id always;"), SizeIs(0));
  EXPECT_THAT(in_location("websocket pusher;"), ElementsAre(HasSubstr("f:2:1: Pusher's clients and servers are refused here")));
  EXPECT_THAT(in_location("websocket pusher;", "app a { id 1; key k; secret 0123456789abcdef; }"), SizeIs(0));
  EXPECT_THAT(in_location("api on;"), ElementsAre("f:2:1: everybody may use this \"api\": it has no api_key, allow or deny"));
  EXPECT_THAT(in_location("api on; allow 127.0.0.1; deny all;"), SizeIs(0));
  EXPECT_THAT(in_location("api on; api_key 0123456789abcdef;"), SizeIs(0));
  EXPECT_THAT(warnings_of("http { server { listen 127.0.0.1:80; listen unix:/x; location / { api on; } } }"), SizeIs(0));
  const std::string rules = "channels a* {\nsubscribe token; }";
  EXPECT_THAT(in_location("websocket raw; websocket_subscribe a;", rules), ElementsAre(HasSubstr("f:2:11: \"subscribe token\" lets nobody in")));
  const std::string token = "token t { secret 0123456789abcdef0123456789abcdef; }";
  EXPECT_THAT(in_location("websocket centrifuge; websocket_token t;", rules + token), SizeIs(0));
  EXPECT_THAT(in_location("proxy_pass http://$host;"), ElementsAre(HasSubstr("f:2:25: \"$host\" is the name of no upstream")));
  EXPECT_THAT(in_location("proxy_pass http://$host;", "upstream u { server 127.0.0.1; }"), SizeIs(0));
  EXPECT_THAT(in_location("proxy_pass http://b_$host;", "upstream u { server 127.0.0.1; }"), SizeIs(1));
  EXPECT_THAT(in_location("proxy_pass http://b_$host;", "upstream b_u { server 127.0.0.1; }"), SizeIs(0));
  EXPECT_THAT(in_location("proxy_pass http://b_${arg_x}_c;", "upstream b__c { server 127.0.0.1; }"), SizeIs(0));
  EXPECT_THAT(in_location("proxy_pass http://b_${arg_x}_c;", "upstream b_c { server 127.0.0.1; }"), SizeIs(1));
}

// They are warned of: as in nginx, such a file loads, and what asks for the location fails.
TEST(Errors, NamedLocationsThatThereAreNot) {
  const auto in_server = [](const std::string& text) {
    return warnings_of("http { server { listen 127.0.0.1:1;\n" + text + "\n} }");
  };
  const auto nope = ElementsAre(HasSubstr("there is no location \"@nope\" in the server at f:1"));
  EXPECT_THAT(in_server("location / { error_page 404 @nope; }"), nope);
  EXPECT_THAT(in_server("location / { try_files $uri @nope; }"), nope);
  EXPECT_THAT(in_server("error_page 404 = @nope; location / { } location /b { }"), nope);
  EXPECT_THAT(in_server("error_page 404 @a; location / { try_files $uri @a; } location @a { return 200; }"), SizeIs(0));
  EXPECT_THAT(in_server("location / { error_page 404 @$host; }"), SizeIs(0)) << "a request decides";
}

TEST(Errors, AuthoritiesOfWebhooks) {
  EXPECT_THAT(in("webhook", "tls_ca_file /nowhere/ca.pem;"), HasSubstr("f:2:13: cannot read \"/nowhere/ca.pem\""));
  EXPECT_THAT(errors_of("embedded_file /ca.pem AAAA; http { webhook w { url https://h/; secret 0123456789abcdef; tls_ca_file /ca.pem; } }"),
              ElementsAre(HasSubstr("/ca.pem")));
}

TEST(Errors, SettingsThatDoNothing) {
  const std::string token = "token t { secret 0123456789abcdef0123456789abcdef; } ";
  EXPECT_THAT(warnings_of("http { " + token + "server { listen 1; location / { websocket echo; websocket_token t; } } }"),
              ElementsAre("f:1:80: \"websocket_token\" does nothing here: \"websocket echo\" answers anybody"));
  EXPECT_THAT(warnings_of("http { " + token + "server { listen 1; websocket_token t; location / { websocket echo; websocket_subscribe a; } } }"),
              ElementsAre(HasSubstr("\"websocket_subscribe\" does nothing"), HasSubstr("\"websocket_token\" does nothing")));
  EXPECT_THAT(warnings_of("http { " + token + "server { listen 1; websocket_token t; location / { websocket raw; } } }"), SizeIs(0));
}

// A message about a secret must not print it: messages end in logs.
TEST(Errors, SecretsAreNotRepeated) {
  EXPECT_EQ(in("webhook", "secret whsec_?;"),
            "f:2:8: invalid value in \"secret\" directive: what follows \"whsec_\" is not base64");
  EXPECT_THAT(warnings_of("http { webhook w { url http://h/; secret tooshort; } }"),
              ElementsAre("f:1:42: this \"secret\" is shorter than 16 bytes and can be guessed"));
  EXPECT_THAT(warnings_of("http { webhook w { url http://h/; secret whsec_AAAA; } }"),
              ElementsAre("f:1:42: this \"secret\" is shorter than 16 bytes and can be guessed"));
  EXPECT_EQ(in("webhook", "secret 0123456789abcde1; secret 0123456789abcde2;"),
            "f:2:33: invalid value in \"secret\" directive: more than two secrets");
  EXPECT_THAT(warnings_of("http { server { listen 1; location / { api on; api_key short; } } }"),
              ElementsAre("f:1:56: this \"api_key\" is shorter than 16 bytes and can be guessed"));
  EXPECT_THAT(in("location", "api_key \"\";"), HasSubstr("may not be empty"));
}

TEST(Errors, WebSockets) {
  EXPECT_THAT(in("location", "websocket telepathy;"), HasSubstr("expected \"raw\", \"echo\", \"pusher\""));
  EXPECT_THAT(in("location", "websocket_slow_reader drop;"),
              HasSubstr("expected \"close\" or \"drop_oldest\""));
  EXPECT_THAT(in("location", "websocket_deflate_server_window_bits 8;"), HasSubstr("from 9 to 15"));
  EXPECT_THAT(in("location", "websocket_subprotocols 'a b';"), HasSubstr("expected an HTTP token"));
  EXPECT_THAT(in("location", "websocket_subscribe '';"), HasSubstr("expected a channel"));
  for (const char* origin :
       {"example.com", "https://", "https://a/b", "https://*", "https://a.*", "*", "https://*.a.*"}) {
    EXPECT_THAT(in("location", std::string("websocket_origins ") + origin + ";"),
                HasSubstr("expected scheme://"))
        << origin;
  }
}

TEST(Errors, Logs) {
  EXPECT_THAT(in("main", "error_log x loud;"), HasSubstr("f:2:13:"));
  EXPECT_THAT(in("main", "error_log syslog:tag=x;"), HasSubstr("expected \"server=\""));
  const LoadResult several = load_text("error_log /a warn; error_log /b; http { error_log /c; server { listen 1; error_log /d; } }", {}, "f");
  ASSERT_TRUE(several.ok()) << report(several);
  EXPECT_EQ(several.config->error_log_path, "/a");
  EXPECT_EQ(several.config->error_log_level, log::Level::Warn);
  EXPECT_THAT(several.warnings, SizeIs(3));
  EXPECT_EQ(several.warnings[0].text(),
            "f:1:20: this \"error_log\" is ignored: one is written, which the first outside of all blocks names");
  EXPECT_THAT(in("http", "access_log x nosuch;"), HasSubstr("unknown log format"));
  EXPECT_THAT(warnings_of("http { access_log x combined buffer=1k flush=5s; }"),
              ElementsAre(HasSubstr("f:1:30: \"buffer=1k\" is ignored"), HasSubstr("f:1:40: \"flush=5s\" is ignored")));
  EXPECT_THAT(in("http", "access_log x combined buffer=much;"), HasSubstr("expected a size after \"buffer=\""));
  EXPECT_THAT(in("http", "access_log x combined flush=soon;"), HasSubstr("expected a time after \"flush=\""));
  EXPECT_THAT(in("http", "access_log x combined gzip;"), HasSubstr("such parameters are not supported"));
  EXPECT_THAT(in("http", "access_log x gzip=1;"), HasSubstr("such parameters are not supported"));
  EXPECT_THAT(in("http", "log_format a escape=xml b;"), HasSubstr("after \"escape=\""));
  EXPECT_THAT(in("http", "log_format a escape=json;"), HasSubstr("has no format"));
}

TEST(Errors, Others) {
  EXPECT_THAT(in("main", "user no-such-user-here;"), HasSubstr("no such user"));
  EXPECT_THAT(in("main", "user root no-such-group-here;"), HasSubstr("f:2:11: invalid value"));
  EXPECT_THAT(in("http", "types { text/html; }"), HasSubstr("f:2:9: expected \"media/type extension ...;\""));
  EXPECT_THAT(in("http", "types { html text; }"), HasSubstr("f:2:9:"));
  EXPECT_THAT(in("http", "large_client_header_buffers 0 8k;"), HasSubstr("from 1 to 1024"));
  EXPECT_THAT(in("http", "large_client_header_buffers 4 8;"), HasSubstr("from 256 to 1m"));
  EXPECT_THAT(in("http", "root /a/$host;"), HasSubstr("variables are not supported"));
  EXPECT_THAT(in("http", "index a/b;"), HasSubstr("expected the name of a file"));
  EXPECT_THAT(in("server", "location ~ x { alias /b; }"), HasSubstr("is not supported"));
}

TEST(Errors, ReportLooksLikeNginx) {
  const LoadResult result = load_text("pid;", {}, "/etc/b.conf");
  EXPECT_EQ(report(result),
            "beamgate: [emerg] /etc/b.conf:1:1: invalid number of arguments in \"pid\" directive: expected "
            "1, found "
            "0\n");
}

}  // namespace
}  // namespace beamgate::config
