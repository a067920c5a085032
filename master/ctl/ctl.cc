#include "master/ctl/ctl.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/printable.h"
#include "common/json/value.h"
#include "master/ctl/control_client.h"
#include "master/ctl/figures.h"

namespace beamgate::master {
namespace {

using Arguments = std::span<const std::string>;

constexpr int64_t kOutcomeMs = 300'000;  // An upgrade may take worker_shutdown_timeout and more.
constexpr useconds_t kLookAgainUs = 100'000;

int fail(const std::string& text) {
  fprintf(stderr, "beamgate ctl: %s\n", text.c_str());
  return 1;
}

void print(std::string_view text) { fwrite(text.data(), 1, text.size(), stdout); }

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

// Columns as wide as their widest cell; the last one as it comes.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { add(std::move(head)); }
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print_out() const {
    std::vector<size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows_) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        line += row[i];
        if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
      }
      print(line + '\n');
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1024;
  char out[32];
  snprintf(out, sizeof out, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return out;
}

// A line of worker/api/user_taps.h, for people.
std::string tapped_text(std::string_view line) {
  const auto next_word = [&line] {
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(word.size() + 1, line.size()));
    return word;
  };
  uint64_t unix_ms = 0;
  uint64_t bytes = 0;
  parse_decimal(next_word(), unix_ms);
  const std::string_view connection = next_word();
  const std::string_view way = next_word();
  parse_decimal(next_word(), bytes);
  const time_t seconds = static_cast<time_t>(unix_ms / 1'000);
  tm parts{};
  localtime_r(&seconds, &parts);
  char when[32];
  const size_t length = strftime(when, sizeof when, "%H:%M:%S", &parts);
  snprintf(when + length, sizeof when - length, ".%03u ", static_cast<unsigned>(unix_ms % 1'000));
  std::string out = when + printable(connection) + ' ' + printable(way.substr(0, 1)) + ' ';
  if (way.ends_with('b')) out += "(binary) ";
  out += printable(line);
  return bytes > line.size() ? out + " ... (" + std::to_string(bytes) + " bytes)" : out;
}

std::string count_text(double count) { return std::to_string(static_cast<uint64_t>(count)); }

class Command {
 public:
  explicit Command(const CtlTarget& target) : target_(target), client_(target.control_path) {}

  int status(Arguments) {
    const auto state = ask("GET", "/status");
    if (!state) return 1;
    if (target_.as_json) return print_json(*state);
    const auto answer = ask("GET", "/metrics");
    if (!answer) return 1;
    const Figures figures(answer->body);
    const auto parsed = json::parse(state->body);
    if (!parsed.ok()) return fail("an answer that is no JSON");
    const auto line = [](const char* name, const std::string& value) { print(std::string(name) + value + '\n'); };
    line("version        ", std::string(parsed.value().get_string("version").value_or("")));
    line("uptime         ", std::to_string(parsed.value().get_uint("uptime").value_or(0)) + " s");
    line("connections    ", count_text(figures.of("connections_active")) + ", " +
                                count_text(figures.of("websockets_active")) + " WebSockets");
    line("channels       ", std::to_string(parsed.value().get_uint("channels").value_or(0)) + ", " +
                                count_text(figures.of("hub_subscriptions")) + " subscriptions");
    line("messages       ", count_text(figures.of("messages_received_total")) + " received, " +
                                count_text(figures.of("hub_deliveries_total")) + " deliveries");
    line("reloads        ", count_text(figures.of("reloads_total{result=\"done\"}")) + " done, " +
                                count_text(figures.of("reloads_total{result=\"refused\"}")) + " refused");
    line("upgrades       ", count_text(figures.of("upgrades_total{result=\"done\"}")) + " done, " +
                                count_text(figures.of("upgrades_total{result=\"refused\"}") +
                                           figures.of("upgrades_total{result=\"undone\"}")) + " not done");
    line("worker deaths  ", count_text(figures.of("worker_deaths_total")) + '\n');
    Table table({"WORKER", "CONNECTIONS", "MEMORY", "ARENA", "LAG ms"});
    for (const unsigned slot : figures.slots()) {
      const std::string label = "{slot=\"" + std::to_string(slot) + "\"}";
      table.add({std::to_string(slot), count_text(figures.of("worker_connections" + label)),
                 bytes_text(figures.of("worker_resident_memory_bytes" + label)),
                 bytes_text(figures.of("worker_arena_bytes" + label)),
                 count_text(figures.of("worker_loop_lag_seconds" + label) * 1'000)});
    }
    table.print_out();
    return 0;
  }

  int reasons(Arguments) {
    const auto answer = ask("GET", "/metrics");
    if (!answer) return 1;
    Table table({"COUNT", "WHAT", "REASON"});
    json::Value::Array rows;
    for (std::string_view left = answer->body; !left.empty();) {
      const std::string_view line = first_line(left);
      left.remove_prefix(std::min(line.size() + 1, left.size()));
      const size_t labels = line.find('{');
      const std::string_view name = line.substr(0, labels);
      if (labels == line.npos || !name.starts_with(kOurs) || !name.ends_with(kTotal)) continue;
      const std::string_view label = line.substr(labels + 1, line.find('}') - labels - 1);
      const size_t begin = label.find('"');
      const bool tells_why = label.starts_with("reason=") || label.starts_with("action=");
      const std::string_view count = line.substr(line.rfind(' ') + 1);
      if (!tells_why || count == "0") continue;
      const size_t bytes = name.size() - kOurs.size() - kTotal.size();
      const std::string_view what = name.substr(kOurs.size(), bytes);
      const std::string_view why = label.substr(begin + 1, label.size() - begin - 2);
      table.add({std::string(count), std::string(what), std::string(why)});
      json::Value& row = rows.emplace_back(json::Value::object());
      row.set("count", json::Value::number(std::string(count), strtod(std::string(count).c_str(), nullptr)));
      row.set("what", what);
      row.set("reason", why);
    }
    if (!target_.as_json) return table.print_out(), 0;
    json::Value out = json::Value::object();
    out.set("reasons", json::Value(std::move(rows)));
    print(out.dump() + '\n');
    return 0;
  }

  int connections(Arguments arguments) {
    std::string target = "/api/connections";
    if (!arguments.empty()) {
      const std::string_view of = arguments[0];
      target = of.starts_with(kChannel) ? target + "?channel=" + percent_encode(of.substr(kChannel.size()))
                                        : user_target(of.starts_with(kUser) ? of.substr(kUser.size()) : of);
    }
    const auto answer = ask("GET", target);
    if (!answer) return 1;
    if (target_.as_json) return print_json(*answer);
    const auto parsed = json::parse(answer->body);
    const json::Value* result = parsed.ok() ? parsed.value().find("result") : nullptr;
    const auto* rows = result != nullptr ? result->get_array("connections") : nullptr;
    if (rows == nullptr) return fail("an answer that is none");
    Table table({"ID", "USER", "PROTOCOL", "PEER", "SINCE", "CHANNELS"});
    for (const json::Value& row : *rows) {
      const auto text = [&row](const char* name) { return printable(row.get_string(name).value_or("")); };
      std::string channels;
      if (const auto* names = row.get_array("channels")) {
        for (const json::Value& name : *names) {
          if (!channels.empty()) channels += ' ';
          channels += printable(name.as_string().value_or(""));
        }
      }
      table.add({text("id"), text("user").empty() ? "-" : text("user"), text("protocol"), text("peer"),
                 text("connected_at"), channels});
    }
    table.print_out();
    const uint64_t all = result->get_uint("num_clients").value_or(0);
    if (all > rows->size()) print("... and " + std::to_string(all - rows->size()) + " more\n");
    return 0;
  }

  int channels(Arguments arguments) {
    json::Value parameters = json::Value::object();
    if (!arguments.empty()) parameters.set("pattern", arguments[0]);
    const auto answer = ask("POST", "/api/channels", parameters.dump());
    if (!answer) return 1;
    if (target_.as_json) return print_json(*answer);
    const auto parsed = json::parse(answer->body);
    const json::Value* result = parsed.ok() ? parsed.value().find("result") : nullptr;
    const json::Value* names = result != nullptr ? result->find("channels") : nullptr;
    if (names == nullptr || names->as_object() == nullptr) return fail("the gateway says: " + printable(answer->body));
    auto rows = *names->as_object();
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    Table table({"CLIENTS", "CHANNEL"});
    for (const auto& [name, value] : rows) {
      table.add({std::to_string(value.get_uint("num_clients").value_or(0)), printable(name)});
    }
    table.print_out();
    return 0;
  }

  int kick(Arguments arguments) {
    const std::string& whom = arguments[0];
    std::string target = whom.starts_with(kUser) ? user_target(std::string_view(whom).substr(kUser.size()))
                                                 : "/api/connections/" + percent_encode(whom);
    target += "?code=" + percent_encode(arguments.size() > 1 ? arguments[1] : "1008");
    if (arguments.size() > 2) target += "&reason=" + percent_encode(arguments[2]);
    const auto answer = ask("DELETE", target);
    if (!answer) return 1;
    const auto parsed = json::parse(answer->body);
    const json::Value* result = parsed.ok() ? parsed.value().find("result") : nullptr;
    print(std::to_string(result == nullptr ? 1 : result->get_uint("num_clients").value_or(1)) + " closed\n");
    return 0;
  }

  int log_level(Arguments arguments) {
    const auto answer = arguments.empty() ? ask("GET", "/log_level")
                                          : ask("POST", "/log_level?level=" + percent_encode(arguments[0]));
    if (!answer) return 1;
    if (target_.as_json) return print_json(*answer);
    const auto parsed = json::parse(answer->body);
    if (!parsed.ok()) return fail("an answer that is no JSON");
    print(std::string(parsed.value().get_string("level").value_or("")) + " (configured: " +
          std::string(parsed.value().get_string("configured").value_or("")) + ")\n");
    return 0;
  }

  int tap(Arguments arguments) {
    if (!has_socket()) return 1;
    if (arguments.size() == 2) return tap_user(arguments[1]);
    // The gateway takes a name of this kind from no field alone.
    const bool reserved = arguments[0].starts_with('#');
    const auto show = [](bool text, std::string_view payload) {
      print((text ? printable(payload) : "(binary) " + printable(payload)) + '\n');
      return fflush(stdout) == 0;
    };
    return run_tap({.target = reserved ? "/tap_reserved" : "/tap",
                    .channel = std::string_view(arguments[0]).substr(reserved ? 1 : 0),
                    .on_second = {},
                    .on_message = show});
  }

  int reload(Arguments) { return signal_and_wait(SIGHUP, "reload"); }
  int upgrade(Arguments) { return signal_and_wait(SIGUSR2, "upgrade"); }
  int drain(Arguments) { return signal(SIGQUIT); }
  int stop(Arguments) { return signal(SIGTERM); }
  int reopen(Arguments) { return signal(SIGUSR1); }

 private:
  static constexpr std::string_view kOurs = "beamgate_";
  static constexpr std::string_view kTotal = "_total";
  static constexpr std::string_view kUser = "user:";
  static constexpr std::string_view kChannel = "channel:";
  static constexpr int kRenewalsMissedMax = 10;  // Workers may change meanwhile.

  static std::string user_target(std::string_view user) { return "/api/users/" + percent_encode(user); }

  static int print_json(const ControlClient::Answer& answer) {
    print(answer.body.ends_with('\n') ? answer.body : answer.body + '\n');
    return 0;
  }

  int run_tap(const ControlClient::Tap& tap) {
    const auto ended = client_.tap(tap);
    if (!ended.ok()) return fail(ended.error().message());
    return ended.value().empty() ? 1 : fail(printable(ended.value()));
  }

  // What is shown is asked for again every second: a tap whose command has gone ends by itself.
  int tap_user(const std::string& user) {
    if (!tell_connections(user)) return 1;
    int missed = 0;
    const auto renew = [&](std::string_view connection) {
      const auto answer = client_.request("POST", "/api/taps/" + percent_encode(user) + "?connection=" + std::string(connection));
      if (answer.ok() && answer.value().status == 200) return missed = 0, true;
      if (++missed <= kRenewalsMissedMax && (!answer.ok() || answer.value().status >= 500)) return true;
      fail("the gateway shows no more: " + (answer.ok() ? printable(answer.value().body) : answer.error().message()));
      return false;
    };
    return run_tap({.target = "/tap_user", .channel = {}, .on_second = renew, .on_message = [](bool, std::string_view line) {
                      print(tapped_text(line) + '\n');
                      return fflush(stdout) == 0;
                    }});
  }

  // Says who is there to be looked at; on stderr, since it is none of what comes.
  bool tell_connections(const std::string& user) {
    const auto answer = client_.request("GET", user_target(user));
    if (!answer.ok()) return fail(answer.error().message()), false;
    const auto parsed = json::parse(answer.value().body);
    const json::Value* result = parsed.ok() ? parsed.value().find("result") : nullptr;
    const uint64_t count = result == nullptr ? 0 : result->get_uint("num_clients").value_or(0);
    fprintf(stderr, "Connections of %s now: %llu.  < is what they send, > what they are sent.\n", printable(user).c_str(),
            static_cast<unsigned long long>(count));
    return true;
  }

  bool has_socket() const {
    if (!target_.control_path.empty()) return true;
    const std::string beside = target_.tried.empty() ? "" : ", and there is no socket at " + target_.tried;
    fail("the configuration has no \"control unix:path;\"" + beside +
         "; -s says where the control socket is, or -c which configuration the gateway was started with");
    return false;
  }

  // Nothing: it has been said why.
  std::optional<ControlClient::Answer> ask(std::string_view method, std::string_view what, std::string_view body = {}) {
    if (!has_socket()) return std::nullopt;
    auto answer = client_.request(method, what, body);
    if (!answer.ok()) {
      fail(target_.control_path + ": " + answer.error().message());
      return std::nullopt;
    }
    if (answer.value().status == 200) return std::move(answer).value();
    const auto parsed = json::parse(answer.value().body);
    const json::Value* error = parsed.ok() ? parsed.value().find("error") : nullptr;
    const auto message = error != nullptr ? error->get_string("message") : std::nullopt;
    fail("the gateway says: " + printable(first_line(message ? *message : answer.value().body)));
    return std::nullopt;
  }

  int signal(int number) {
    const std::string reason = target_.send_signal(number);
    return reason.empty() ? 0 : fail(reason);
  }

  struct Outcomes {
    double done = 0;
    double not_done = 0;
  };

  std::optional<Outcomes> outcomes(const std::string& what) const {
    const auto answer = client_.request("GET", "/metrics");
    if (!answer.ok() || answer.value().status != 200) return std::nullopt;
    const Figures figures(answer.value().body);
    const auto count = [&](const char* result) { return figures.of(what + "s_total{result=\"" + result + "\"}"); };
    return Outcomes{count("done"), count("refused") + count("undone")};
  }

  // Without a control socket nobody says how it ended.
  int signal_and_wait(int number, const std::string& what) {
    const auto known = target_.control_path.empty() ? std::nullopt : outcomes(what);
    if (const int status = signal(number); status != 0) return status;
    const Outcomes before = known.value_or(Outcomes{});
    if (!known) {
      print("told to " + what + "; the error log says how it ends\n");
      return 0;
    }
    // Nothing tells the end but the metrics, which are asked for until they do.
    for (const int64_t until_ms = monotonic_ms() + kOutcomeMs; monotonic_ms() < until_ms; usleep(kLookAgainUs)) {
      const auto now = outcomes(what);  // None while workers change.
      if (!now) continue;
      if (now->not_done > before.not_done) return fail("no " + what + ": the error log says why");
      if (now->done > before.done) return 0;
      // Another build may count from the beginning.
      if (now->done == 0 && now->not_done == 0 && before.done + before.not_done > 0) return 0;
    }
    return fail("no word of the " + what + "'s end; see the error log");
  }

  const CtlTarget& target_;
  const ControlClient client_;
};

struct Row {
  std::string_view name;
  std::string_view syntax;
  size_t least;
  size_t most;
  int (Command::*run)(Arguments);
  std::string_view help;
};

constexpr Row kRows[] = {
    {"status", "", 0, 0, &Command::status, "what the node does, and each of its workers"},
    {"reasons", "", 0, 0, &Command::reasons, "what was refused, closed and dropped and has failed since the start, and why"},
    {"connections", "[USER|channel:NAME]", 0, 1, &Command::connections, "who is connected; 100 of each worker at most"},
    {"channels", "[PATTERN]", 0, 1, &Command::channels, "channels with subscribers; PATTERN has * and ?"},
    {"kick", "ID|user:NAME [CODE [REASON]]", 1, 3, &Command::kick, "closes a connection, or all of a user, with 1008 or CODE"},
    {"tap", "CHANNEL|user NAME", 1, 2, &Command::tap, "shows what is published to a channel, or what a user's connections get and send, until Ctrl-C"},
    {"log-level", "[LEVEL|configured]", 0, 1, &Command::log_level, "tells or changes the error log's level until the next reload"},
    {"reload", "", 0, 0, &Command::reload, "reads the configuration again, and waits for the outcome"},
    {"upgrade", "", 0, 0, &Command::upgrade, "goes on with the binary that is installed now, and waits"},
    {"reopen", "", 0, 0, &Command::reopen, "opens the logs again"},
    {"drain", "", 0, 0, &Command::drain, "stops gracefully"},
    {"stop", "", 0, 0, &Command::stop, "stops at once"},
};

const Row* find_row(std::string_view name) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [name](const Row& each) { return each.name == name; });
  return row == std::end(kRows) ? nullptr : row;
}

bool asks_for_help(Arguments arguments) {
  const auto is_question = [](const std::string& word) { return word == "-h" || word == "--help"; };
  return !arguments.empty() && (arguments[0] == "help" || (arguments.size() > 1 && is_question(arguments[1])));
}

std::string usage_text() {
  std::string out = "Usage: beamgate ctl [-s socket] [-c file] [-p prefix] [-j] COMMAND\n\n";
  for (const Row& row : kRows) {
    std::string left = "  " + std::string(row.name) + (row.syntax.empty() ? "" : " ") + std::string(row.syntax);
    left.resize(std::max<size_t>(left.size() + 2, 40), ' ');
    out += left + std::string(row.help) + '\n';
  }
  return out +
         "\n-s, --socket names the control socket, whatever the configuration says; where that does not load, its lines\n"
         "\"control\" and \"pid\" are taken as they stand, or the usual places.\n"
         "-j prints what status, reasons, connections, channels and log-level are told as JSON.  See CONTROL in beamgate(8).\n";
}

}  // namespace

std::string_view ctl_usage() {
  static const std::string text = usage_text();
  return text;
}

std::string what_is_wrong(Arguments arguments) {
  if (arguments.empty()) return "a command is missing";
  if (asks_for_help(arguments)) return {};
  const std::string& name = arguments[0];
  const Row* row = find_row(name);
  if (row == nullptr) return "there is no command \"" + printable(name) + '"';
  const size_t count = arguments.size() - 1;
  const bool taps_nobody = name == "tap" && count == 2 && arguments[1] != "user";
  if (count >= row->least && count <= row->most && !taps_nobody) return {};
  return '"' + name + "\" takes " + (row->syntax.empty() ? "no arguments" : std::string(row->syntax));
}

int run_ctl(Arguments arguments, const CtlTarget& target) {
  if (asks_for_help(arguments)) return print(ctl_usage()), 0;
  const Row* row = find_row(arguments[0]);
  BG_ASSERT(row != nullptr);
  Command command(target);
  return (command.*row->run)(arguments.subspan(1));
}

}  // namespace beamgate::master
