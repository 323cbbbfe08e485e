<?php
/**
 * Orders: points that they earn, and points and gift cards that pay for them. Only where WooCommerce is active.
 *
 * The book says what an order has moved so far, never the order: whatever happens twice, or in another order, moves the
 * difference to what is right. An order is reached by WC_Order only, so both of WooCommerce's storages will do.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const POINTS_META = 'counterflow_points';    // How many points paid.
const CARD_META   = 'counterflow_gift_card'; // JSON: a list of {number, cents}.
const ALIVE       = array( 'pending', 'on-hold', 'processing', 'completed' );
const GIVEN_UP    = array( 'cancelled', 'failed' );

add_action( 'woocommerce_loaded', __NAMESPACE__ . '\watch_orders' );

/**
 * Listen to WooCommerce.
 */
function watch_orders(): void {
	foreach ( array_merge( ALIVE, GIVEN_UP, array( 'refunded' ) ) as $status ) {
		add_action( "woocommerce_order_status_$status", __NAMESPACE__ . '\order_changed' );
	}
	add_action( 'woocommerce_order_refunded', __NAMESPACE__ . '\order_refunded', 10, 2 );
}

// What an order earns.

/**
 * Give the points for an amount that was paid: so many for each whole unit of currency.
 *
 * @param int $paid_cents The amount.
 * @param int $rate       Points for each unit.
 */
function points_for( int $paid_cents, int $rate ): int {
	return max( 0, intdiv( $paid_cents, 100 ) ) * $rate;
}

/**
 * Give what was paid for an order and not given back: money and gift card, not points.
 *
 * @param \WC_Order $order The order.
 */
function paid_cents( \WC_Order $order ): int {
	return cents_of( $order->get_total() ) - cents_of( $order->get_total_refunded() ) + card_of( $order )['cents'];
}

/**
 * An order's status changed: what it moved is made right.
 *
 * @param int $order_id The order.
 */
function order_changed( $order_id ): void {
	$order = wc_get_order( $order_id );
	if ( ! $order instanceof \WC_Order ) {
		return;
	}
	$status   = $order->get_status();
	$earns_at = 'completed' === setting( 'earn_when' ) ? array( 'completed' ) : wc_get_is_paid_statuses();
	if ( in_array( $status, $earns_at, true ) ) {
		earn( $order );
	} elseif ( 'refunded' === $status || in_array( $status, GIVEN_UP, true ) ) {
		settle_points( $order, 'earn', 0 );
	}
	if ( in_array( $status, GIVEN_UP, true ) ) {
		give_payment_back( $order );
	} elseif ( in_array( $status, ALIVE, true ) && ! take( $order ) ) {
		$order->add_order_note( __( 'The points or the gift card that pay for this order could not be taken again: not enough is there. Look at it before it is shipped.', 'counterflow-companion' ) );
	}
}

/**
 * Give the points that an order earns, where it has none: once it has, only a refund or its end changes them.
 *
 * @param \WC_Order $order The order.
 */
function earn( \WC_Order $order ): void {
	if ( 0 === moved_so_far( 'points', $order, 'earn' )['sum'] ) {
		settle_points( $order, 'earn', points_for( paid_cents( $order ), (int) setting( 'earn_rate' ) ) );
	}
}

/**
 * A refund was made: the points of what is no longer paid are taken back, as far as they are there.
 *
 * In proportion to what was earned: the shop may have changed its rate in between.
 *
 * @param int $order_id  The order.
 * @param int $refund_id The refund.
 */
function order_refunded( $order_id, $refund_id ): void {
	$order = wc_get_order( $order_id );
	if ( ! $order instanceof \WC_Order ) {
		return;
	}
	$has   = moved_so_far( 'points', $order, 'earn' )['sum'];
	$total = paid_cents( $order ) + cents_of( $order->get_total_refunded() );
	if ( $has > 0 && $total > 0 ) {
		$earned = earned_at_first( $order );
		$due    = intdiv( $earned * max( 0, paid_cents( $order ) ), $total );
		settle_points( $order, 'earn', min( $has, $due ), "order:{$order->get_id()}:earn-back:$refund_id" );
	}
}

/**
 * Give what an order earned before anything was taken back.
 *
 * @param \WC_Order $order The order.
 */
function earned_at_first( \WC_Order $order ): int {
	global $wpdb;
	$reference = "order:{$order->get_id()}:earn";
	return (int) $wpdb->get_var( $wpdb->prepare( 'SELECT points FROM ' . table( 'points' ) . ' WHERE reference = %s', $reference ) );
}

// What pays for an order.

/**
 * Take what pays for an order, as far as it is not taken yet.
 *
 * @param \WC_Order $order The order.
 * @return bool Whether all of it is taken now.
 */
function take( \WC_Order $order ): bool {
	$points = (int) $order->get_meta( POINTS_META );
	$card   = card_of( $order );
	return settle_points( $order, 'redeem', -$points ) && settle_card( $order, -$card['cents'] );
}

/**
 * Give back what was taken for an order.
 *
 * @param \WC_Order $order The order.
 */
function give_payment_back( \WC_Order $order ): void {
	settle_points( $order, 'redeem', 0 );
	settle_card( $order, 0 );
}

/**
 * Move the points that an order should have moved and has not.
 *
 * @param \WC_Order $order     The order.
 * @param string    $what      Either earn or redeem.
 * @param int       $due       What it should have moved in all.
 * @param string    $reference The entry's; empty is the next of this order's own.
 * @return bool Whether it has moved that now.
 */
function settle_points( \WC_Order $order, string $what, int $due, string $reference = '' ): bool {
	$user = $order->get_customer_id();
	$has  = moved_so_far( 'points', $order, $what );
	if ( $has['sum'] === $due ) {
		return true;
	}
	if ( ! $user ) {
		return false; // A guest has no points.
	}
	$reference = $reference ? $reference : next_reference( $order, $what, $has['entries'] );
	/* translators: %s: an order's number. */
	$reason = sprintf( __( 'Order %s', 'counterflow-companion' ), $order->get_order_number() );
	$answer = adjust_points( $user, $due - $has['sum'], $reference, $reason );
	return is_array( $answer ) && $due - $has['sum'] === $answer['points'];
}

/**
 * Move the cents that an order should have moved on its card and has not.
 *
 * @param \WC_Order $order The order.
 * @param int       $due   What it should have moved in all.
 * @return bool Whether it has moved that now.
 */
function settle_card( \WC_Order $order, int $due ): bool {
	$has = moved_so_far( 'gift_card_entries', $order, 'card' );
	if ( $has['sum'] === $due ) {
		return true;
	}
	/* translators: %s: an order's number. */
	$reason = sprintf( __( 'Order %s', 'counterflow-companion' ), $order->get_order_number() );
	$answer = adjust_card( card_of( $order )['number'], $due - $has['sum'], next_reference( $order, 'card', $has['entries'] ), $reason, $order->get_id() );
	return is_array( $answer ) && $due - $has['sum'] === $answer['cents'];
}

/**
 * Give the reference of an order's next entry: `order:12:earn`, then `order:12:earn:1`. Two at the same moment get the same.
 *
 * @param \WC_Order $order   The order.
 * @param string    $what    Earn, redeem or card.
 * @param int       $entries How many there are.
 */
function next_reference( \WC_Order $order, string $what, int $entries ): string {
	return "order:{$order->get_id()}:$what" . ( $entries ? ":$entries" : '' );
}

/**
 * Give what an order has moved so far, from the book: `{sum, entries}`.
 *
 * @param string    $book  A table: points or gift_card_entries.
 * @param \WC_Order $order The order.
 * @param string    $what  Earn, redeem or card.
 */
function moved_so_far( string $book, \WC_Order $order, string $what ): array {
	global $wpdb;
	$column = 'points' === $book ? 'points' : 'cents';
	$row    = $wpdb->get_row(
		$wpdb->prepare(
			"SELECT COALESCE(SUM($column), 0) AS moved, COUNT(*) AS entries FROM " . table( $book ) . ' WHERE reference LIKE %s',
			$wpdb->esc_like( "order:{$order->get_id()}:$what" ) . '%'
		)
	);
	return array(
		'sum'     => (int) $row->moved,
		'entries' => (int) $row->entries,
	);
}

/**
 * Give the card that pays for an order: `{number, cents}`; 0 cents is none.
 *
 * @param \WC_Order $order The order.
 */
function card_of( \WC_Order $order ): array {
	$cards = json_decode( (string) $order->get_meta( CARD_META ), true );
	return array(
		'number' => (string) ( $cards[0]['number'] ?? '' ),
		'cents'  => (int) ( $cards[0]['cents'] ?? 0 ),
	);
}

/**
 * Give an amount of WooCommerce's in cents.
 *
 * @param string|float $amount The amount.
 */
function cents_of( $amount ): int {
	return (int) round( 100 * (float) $amount );
}
