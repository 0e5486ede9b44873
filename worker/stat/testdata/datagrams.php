<?php
// Writes the datagrams that GatewayWorker's StatisticClient would send, as JSON and hexadecimal digits.
function datagram($module, $interface, $seconds, $success, $code, $text, $time) {
    return pack('CCfCNnN', strlen($module), strlen($interface), $seconds, $success ? 1 : 0, $code, strlen($text), $time)
        . $module . $interface . $text;
}
foreach (json_decode(file_get_contents('php://stdin'), true) as $d) {
    echo bin2hex(datagram(...$d)), "\n";
}
