// beamgate: the program's entry; from the command line to what was asked for.
//
// The one file that sees both the master and the worker.
#include <signal.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/freed_memory.h"
#include "common/config/command_line.h"
#include "common/config/load.h"
#include "common/config/places.h"
#include "common/version.h"
#include "master/ctl/ctl.h"
#include "master/image.h"
#include "master/master.h"
#include "master/pid_file.h"
#include "master/process_title.h"
#include "master/shared_pages.h"
#include "master/start_check.h"
#include "master/system_check.h"
#include "worker/hook/libraries.h"
#include "worker/worker_main.h"

namespace beamgate {
namespace {

using config::CommandLine;

constexpr const char* kProgram = "beamgate";

int fail(const std::string& text) {
  fprintf(stderr, "beamgate: [emerg] %s\n", text.c_str());
  return 1;
}

int signal_number(CommandLine::Signal signal) {
  switch (signal) {
    case CommandLine::Signal::Stop: return SIGTERM;
    case CommandLine::Signal::Quit: return SIGQUIT;
    case CommandLine::Signal::Reload: return SIGHUP;
    case CommandLine::Signal::Reopen: return SIGUSR1;
    case CommandLine::Signal::Upgrade: return SIGUSR2;
    case CommandLine::Signal::None: break;
  }
  return 0;
}

std::string configuration_name(const CommandLine& line) {
  const std::string path = config::configuration_path(line.load);
  return path.empty() ? std::string(config::kBuiltInName) : path;
}

// True: there are none.
bool tell_start_problems(const config::LoadResult& loaded, const std::string& name) {
  const std::vector<master::StartProblem> problems = master::start_problems(*loaded.config);
  for (const master::StartProblem& problem : problems) {
    const auto said = loaded.said.find(problem.said);
    config::Diagnostic place = said == loaded.said.end() ? config::Diagnostic{.file = name} : said->second;  // A default.
    place.message = problem.text;
    fprintf(stderr, "beamgate: [emerg] %s\n", place.text().c_str());
  }
  return problems.empty();
}

int test(const CommandLine& line, const config::LoadResult& loaded) {
  const std::string name = configuration_name(line);
  const bool can_start = loaded.ok() && tell_start_problems(loaded, name);
  if (!can_start) {
    fprintf(stderr, "beamgate: configuration %s test failed\n", name.c_str());
    return 1;
  }
  for (const std::string& warning : master::system_warnings(*loaded.config, master::read_system_figures(*loaded.config))) {
    fprintf(stderr, "beamgate: [warn] %s\n", warning.c_str());
  }
  if (!line.quiet) fprintf(stderr, "beamgate: configuration %s test is successful\n", name.c_str());
  if (line.mode == CommandLine::Mode::TestAndDump) {
    const std::string text = config::dump(loaded.sources, true);
    fwrite(text.data(), 1, text.size(), stdout);
  }
  return 0;
}

// Empty: the running master has it.
std::string send_signal(int number, const std::string& pid_path) {
  if (pid_path.empty()) return "there is no pid file to find the master by (pid off)";
  const auto pid = master::PidFile::read_living(pid_path, kProgram);
  if (!pid.ok()) return "no running master by the pid file \"" + pid_path + "\": " + pid.error().message();
  if (kill(pid.value(), number) == 0) return {};
  return "can't signal process " + std::to_string(pid.value()) + ": " + system_error("kill").message();
}

struct Found {
  config::Places places;
  std::string tried;  // Where a control socket was looked for in vain; empty: only where the configuration says.
};

// What was started with -c elsewhere is not known to a configuration that does not speak of a control socket.
Found look_beside(const CommandLine& line, const config::LoadResult& loaded) {
  Found out{{loaded.config->control_path, loaded.config->pid_path}, {}};
  const config::LoadOptions& options = line.load;
  if (!out.places.control_path.empty() || loaded.said.contains("control") || !options.path.empty()) return out;
  const std::vector<std::string> paths = config::usual_control_paths(options);
  out.places.control_path = config::first_that_exists(paths);
  for (const std::string& path : paths) out.tried += (out.tried.empty() ? "" : ", ") + path;
  if (config::configuration_path(options).empty()) out.places.pid_path = config::first_that_exists(config::usual_pid_paths(options));
  if (!out.places.control_path.empty()) {
    fprintf(stderr, "beamgate ctl: %s has no control socket; trying %s\n", configuration_name(line).c_str(),
            out.places.control_path.c_str());
  }
  return out;
}

// Whoever needs help may have a configuration that does not load; what runs is still to be found then.
Found find_gateway(const CommandLine& line) {
  const config::LoadOptions& options = line.load;
  const config::LoadResult loaded = config::load(options);
  if (loaded.ok()) return look_beside(line, loaded);
  const config::Places places = config::find_places(options);
  const auto named = [](const std::string& path) { return path.empty() ? std::string("none") : path; };
  fprintf(stderr, "%sbeamgate ctl: the configuration does not load; control socket: %s, pid file: %s\n",
          config::report(loaded).c_str(), named(places.control_path).c_str(), named(places.pid_path).c_str());
  return {places, {}};
}

// Of a command line that makes no sense.
int fail_ctl(const std::string& text) {
  fprintf(stderr, "beamgate ctl: %s; \"beamgate ctl -h\" shows what there is\n", text.c_str());
  return 2;
}

// The value of -s PATH, -sPATH, --socket PATH or --socket=PATH; nothing: the word is another option.
std::optional<std::string_view> socket_option(std::span<const char* const> words, size_t& at) {
  std::string_view word = words[at];
  for (const std::string_view name : {"--socket", "-s"}) {
    if (!word.starts_with(name)) continue;
    word.remove_prefix(name.size());
    if (name.starts_with("--") && !word.empty()) {
      if (word[0] != '=') break;
      word.remove_prefix(1);
    }
    return word.empty() && at + 1 < words.size() ? words[++at] : word;
  }
  return std::nullopt;
}

// "beamgate ctl": options first, as those of the gateway itself, then the command.
int ctl(std::span<const char* const> words) {
  std::vector<const char*> options;
  bool as_json = false;
  std::string socket_path;
  size_t at = 0;
  for (; at < words.size() && words[at][0] == '-'; ++at) {
    if (words[at] == std::string_view("-j")) {
      as_json = true;
      continue;
    }
    if (const auto path = socket_option(words, at)) {
      if (path->empty()) return fail_ctl("option \"-s\" requires the path of a control socket");
      socket_path = *path;
      continue;
    }
    options.push_back(words[at]);
    const bool has_value = std::string_view(words[at]).size() == 2 && std::string_view("cpg").find(words[at][1]) != std::string_view::npos;
    if (has_value && at + 1 < words.size()) options.push_back(words[++at]);
  }
  CommandLine line;
  std::string error;
  if (!config::parse(options, line, error)) return fail_ctl(error);
  const std::vector<std::string> arguments(words.begin() + static_cast<ptrdiff_t>(at), words.end());
  if (line.mode == CommandLine::Mode::Help) {
    fwrite(master::ctl_usage().data(), 1, master::ctl_usage().size(), stdout);
    return 0;
  }
  if (line.mode != CommandLine::Mode::Run || line.quiet) return fail_ctl("the options are -s, -c, -p, -g, -j and -h");
  if (const std::string wrong = master::what_is_wrong(arguments); !wrong.empty()) return fail_ctl(wrong);
  // Where the socket is named, only a signal needs the configuration.
  std::optional<Found> found;
  if (socket_path.empty()) {
    found = find_gateway(line);
    socket_path = found->places.control_path;
  }
  const auto send = [&](int number) {
    if (!found) found = find_gateway(line);
    return send_signal(number, found->places.pid_path);
  };
  const std::string tried = found ? found->tried : std::string();
  return master::run_ctl(arguments, {.as_json = as_json, .control_path = socket_path, .tried = tried, .send_signal = send});
}

master::MasterOptions options_of(const CommandLine& line, master::ProcessTitle& title, const master::Program& program) {
  const auto load = [options = line.load] { return config::load(options); };
  return {.load = load,
          .worker_main = worker::run,
          .title = &title,
          .program = program,
          .configuration_name = configuration_name(line)};
}

// What a master is made from, configuration and state, is gone before it serves: there are secrets in it that a reload
// is to end.
using MasterPtr = std::unique_ptr<master::Master>;

// ", process 123 by the pid file "/run/x.pid"", for whoever wonders which one is in the way.
std::string holder_of(const std::string& pid_path) {
  const auto pid = master::PidFile::read_living(pid_path, kProgram);
  const std::string who = pid.ok() ? "process " + std::to_string(pid.value()) : "no living process";
  return ": " + who + " by the pid file \"" + pid_path + '"';
}

// Goes on with the workers of a master that was killed.  Nothing: there are none, or they are left to end alone; null: it
// can't be.
std::optional<MasterPtr> reattach(const CommandLine& line, const config::Config& config, master::ProcessTitle& title,
                                  const master::Program& program) {
  if (config.pid_path.empty() || !config.master_keeper) return std::nullopt;
  auto claimed = master::claim_estate(master::estate_path(config.pid_path));
  if (!claimed.ok()) return fail("can't start beside what runs: " + claimed.error().message() + holder_of(config.pid_path)), nullptr;
  if (!claimed.value()) return std::nullopt;
  master::Estate estate = std::move(*claimed.value());
  const std::string bytes = std::move(estate.state);
  const auto leave_alone = [&](const std::string& reason) {
    fail("workers of a dead master are left to end: " + reason);
    estate.accept();
    return std::nullopt;
  };
  auto state = master::parse_handover_state(bytes);
  if (!state.ok()) return leave_alone(state.error().message());
  if (state.value().process.lives_layout != master::SharedPages::lives_layout()) {
    return leave_alone("they are another version's");
  }
  if (state.value().descriptors().size() != estate.descriptors.size()) return leave_alone("their keeper lacks descriptors");
  const config::LoadResult before = config::load_text(state.value().process.config);
  if (!before.ok()) return leave_alone(config::report(before));
  auto master = std::make_unique<master::Master>(before.config, options_of(line, title, program));
  return master->take_place(std::move(state).value(), std::move(estate), config.dump) ? std::move(master) : nullptr;
}

MasterPtr start(const CommandLine& line, std::shared_ptr<const config::Config> config, master::ProcessTitle& title,
                const master::Program& program) {
  if (auto reattached = reattach(line, *config, title, program)) return std::move(*reattached);
  auto master = std::make_unique<master::Master>(std::move(config), options_of(line, title, program));
  return master->start() ? std::move(master) : nullptr;
}

// Goes on in the place of another binary.  Whatever is in the way: the place is given back.
MasterPtr take_over(const CommandLine& line, master::Inheritance inheritance, master::ProcessTitle& title,
                    const master::Program& program) {
  const auto give_back = [&](const std::string& reason) {
    inheritance.came_back = "the new binary could not take over: " + reason;
    const UniqueFd old_binary = std::move(inheritance.old_binary);
    if (old_binary.valid()) {
      static_cast<void>(master::execute(master::path_of_open(old_binary), program.arguments, inheritance, {}));
    }
    return fail(*inheritance.came_back), nullptr;
  };
  const auto bytes = master::read_file(inheritance.state.get());
  if (!bytes.ok()) return give_back(bytes.error().message());
  const auto state = master::parse_handover_state(bytes.value());
  if (!state.ok()) return give_back(state.error().message());
  config::LoadResult loaded = config::load_text(state.value().process.config);
  if (!loaded.ok()) return give_back(config::report(loaded));
  auto master = std::make_unique<master::Master>(std::move(loaded.config), options_of(line, title, program));
  return master->take_over(state.value(), std::move(inheritance)) ? std::move(master) : nullptr;
}

int serve(const MasterPtr& master) { return master != nullptr ? master->serve() : 1; }

int run(const CommandLine& line, master::ProcessTitle& title, const master::Program& program) {
  switch (line.mode) {
    case CommandLine::Mode::Help:
      fwrite(config::usage().data(), 1, config::usage().size(), stdout);
      return 0;
    case CommandLine::Mode::Version:
    case CommandLine::Mode::VersionDetails:
      fprintf(stderr, "beamgate version: beamgate/%s\n", BEAMGATE_VERSION);
      if (line.mode == CommandLine::Mode::VersionDetails) {
        fprintf(stderr, "%slibraries: %s\n", BEAMGATE_BUILD_DETAILS, hook::library_versions().c_str());
      }
      return 0;
    case CommandLine::Mode::HandoverVersion:
      printf("%s\n", master::handover_version_line().c_str());
      return 0;
    case CommandLine::Mode::HandoverRehearsal:
      return master::rehearse();
    default:
      break;
  }
  if (line.mode == CommandLine::Mode::Run) {
    if (auto inheritance = master::take_inheritance()) {
      return serve(take_over(line, std::move(*inheritance), title, program));
    }
  }
  config::LoadResult loaded = config::load(line.load);
  const std::string report = config::report(loaded);
  fwrite(report.data(), 1, report.size(), stderr);
  if (line.mode == CommandLine::Mode::Test || line.mode == CommandLine::Mode::TestAndDump) {
    return test(line, loaded);
  }
  if (!loaded.ok()) return 1;
  if (line.mode != CommandLine::Mode::Signal) {
    auto config = std::move(loaded.config);
    loaded = {};
    return serve(start(line, std::move(config), title, program));
  }
  const std::string reason = send_signal(signal_number(line.signal), loaded.config->pid_path);
  return reason.empty() ? 0 : fail(reason);
}

}  // namespace
}  // namespace beamgate

int main(int argc, char** argv) {
  if (!beamgate::overwrite_freed_memory_of_openssl()) return beamgate::fail("OpenSSL's memory is in use already");
  if (argc > 1 && std::string_view(argv[1]) == "ctl") return beamgate::ctl({argv + 2, static_cast<size_t>(argc - 2)});
  beamgate::config::CommandLine line;
  std::string error;
  if (!beamgate::config::parse({argv + 1, static_cast<size_t>(argc - 1)}, line, error)) {
    return beamgate::fail(error);
  }
  const auto program = beamgate::master::this_program(argc, argv);
  beamgate::master::ProcessTitle title(argc, argv);
  return beamgate::run(line, title, program);
}
