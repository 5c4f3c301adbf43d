# A client that needs perl-base only. Addresses are HOST:PORT or /PATH.
#
#   client.pl say ADDRESS LINE...               what the server says to each line
#   client.pl hammer ADDRESS STOP               connects every 2 ms until the file STOP is there, and waits for
#                                               every greeting; "NAME=COUNT" for each thing that happened
use strict;
use warnings;
use Errno qw(ECONNREFUSED ENOENT EINPROGRESS EAGAIN);
use IO::Select;
use Socket;
use Time::HiRes qw(time);

my ($command, $address, @rest) = @ARGV;

sub connected {
    my ($unix) = $address =~ m{^(/.*)};
    my ($host, $port) = $address =~ /^(.*):(\d+)$/;
    socket(my $socket, $unix ? PF_UNIX : PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    my $to = $unix ? pack_sockaddr_un($unix) : pack_sockaddr_in($port, inet_aton($host));
    connect($socket, $to) or return;
    return $socket;
}

sub reply {
    my ($socket) = @_;
    my $said = '';
    while (defined(my $line = readline $socket)) {
        $said .= $line;
        return $said if $line =~ /^\d{3} /;
    }
    return "$said(closed)\n";
}

if ($command eq 'say') {
    $SIG{ALRM} = sub { die "no answer\n" };
    alarm 20;
    my $socket = connected() or die "connect: $!\n";
    $socket->autoflush(1);
    print reply($socket);
    for my $line (@rest) {
        print $socket "$line\r\n";
        print reply($socket);
    }
} else {
    my ($stop) = @rest;
    my (%happened, %since);
    my $waiting = IO::Select->new;
    my $last;
    while (1) {
        $last //= time + 30 if -e $stop; # those that still wait are waited for
        last if $last && (!$waiting->count || time > $last);
        if (!$last) {
            if (my $socket = connected()) {
                $happened{connected}++;
                $waiting->add($socket);
            } else {
                $happened{ $! == ECONNREFUSED || $! == ENOENT ? 'refused' : "connect_$!" }++;
            }
        }
        for my $socket ($waiting->can_read(0.002)) {
            my $got = sysread($socket, my $said, 512);
            $happened{ $got ? 'said_' . substr($said, 0, 3) : 'cut' }++;
            $waiting->remove($socket);
            close $socket;
        }
    }
    $happened{unanswered} = $waiting->count;
    print map { "$_=$happened{$_}\n" } sort keys %happened;
}
