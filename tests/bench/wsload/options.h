// Options: what one run of the load generator shall do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace beamgate::bench {

struct Options {
  std::string mode;           // idle, echo, http, fanout, app.
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::string path = "/";
  uint32_t connections = 1;
  uint32_t processes = 1;
  uint32_t depth = 1;         // Requests in flight on one connection.
  uint32_t size = 64;         // Payload bytes of a message.
  uint32_t seconds = 5;       // How long echo and http are measured, after `warmup` seconds.
  uint32_t warmup = 1;
  uint32_t opening = 256;     // Handshakes in flight at a time, per process.

  // Fan-out: where and what to publish; %DATA% in the body stands for the payload.
  uint32_t publications = 1000;
  uint32_t window = 32;       // Publications whose answer is not there yet.
  std::string publish_path;
  std::string publish_body = "%DATA%";
  std::vector<std::string> publish_fields;
};

// Reads --name value pairs after the mode; ends the process with a usage line on a mistake.
Options parse_options(int argc, char** argv);

}  // namespace beamgate::bench
