#include "tests/bench/wsload/options.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace beamgate::bench {
namespace {

[[noreturn]] void usage(const char* why) {
  std::fprintf(stderr,
               "wsload: %s\n"
               "usage: wsload idle|echo|http|fanout|app --port N [--host A] [--path P] [--connections N]\n"
               "  [--processes N] [--depth N] [--size BYTES] [--seconds N] [--warmup N] [--opening N]\n"
               "  [--publications N] [--window N] [--publish-path P] [--publish-body B] [--publish-field 'N: V']\n",
               why);
  std::exit(2);
}

template <typename Number>
void read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) usage("not a number");
}

void set(Options& options, std::string_view name, const char* value) {
  if (name == "--host") options.host = value;
  else if (name == "--port") read_number(value, options.port);
  else if (name == "--path") options.path = value;
  else if (name == "--connections") read_number(value, options.connections);
  else if (name == "--processes") read_number(value, options.processes);
  else if (name == "--depth") read_number(value, options.depth);
  else if (name == "--size") read_number(value, options.size);
  else if (name == "--seconds") read_number(value, options.seconds);
  else if (name == "--warmup") read_number(value, options.warmup);
  else if (name == "--opening") read_number(value, options.opening);
  else if (name == "--publications") read_number(value, options.publications);
  else if (name == "--window") read_number(value, options.window);
  else if (name == "--publish-path") options.publish_path = value;
  else if (name == "--publish-body") options.publish_body = value;
  else if (name == "--publish-field") options.publish_fields.emplace_back(value);
  else usage("unknown option");
}

}  // namespace

Options parse_options(int argc, char** argv) {
  if (argc < 2) usage("no mode");
  Options options;
  options.mode = argv[1];
  for (int i = 2; i < argc; i += 2) {
    if (i + 1 >= argc) usage("an option has no value");
    set(options, argv[i], argv[i + 1]);
  }
  if (options.port == 0 && options.mode != "app") usage("--port is missing");
  if (options.processes == 0 || options.connections < options.processes) usage("fewer connections than processes");
  return options;
}

}  // namespace beamgate::bench
