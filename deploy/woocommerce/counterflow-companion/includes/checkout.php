<?php
/**
 * The checkout: what a buyer wants to pay by points or by a gift card, and taking it. Only where WooCommerce is active.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const POINTS_FEE  = 'counterflow_points';
const WRONG_CARDS = 10; // Tries an hour from one address: a number is money, and must not be guessed.
const FORM        = 'counterflow_pay';

add_action( 'woocommerce_loaded', __NAMESPACE__ . '\watch_checkout' );

/**
 * Listen to WooCommerce.
 */
function watch_checkout(): void {
	add_action( 'wp_loaded', __NAMESPACE__ . '\take_form', 20 );
	add_action( 'woocommerce_cart_emptied', __NAMESPACE__ . '\forget_form' );
	add_action( 'woocommerce_before_cart', __NAMESPACE__ . '\show_form' );
	add_action( 'woocommerce_before_checkout_form', __NAMESPACE__ . '\show_form' );
	add_action( 'woocommerce_cart_calculate_fees', __NAMESPACE__ . '\add_points_fee' );
	add_filter( 'woocommerce_calculated_total', __NAMESPACE__ . '\lower_cart_total', 100, 2 );
	add_action( 'woocommerce_cart_totals_before_order_total', __NAMESPACE__ . '\show_card_row' );
	add_action( 'woocommerce_review_order_before_order_total', __NAMESPACE__ . '\show_card_row' );

	// The classic checkout, and the one of blocks.
	add_action( 'woocommerce_checkout_create_order', __NAMESPACE__ . '\note_payment' );
	add_action( 'woocommerce_store_api_checkout_update_order_meta', __NAMESPACE__ . '\note_payment_of_blocks' );
	add_action( 'woocommerce_order_after_calculate_totals', __NAMESPACE__ . '\lower_order_total', 100, 2 );
	add_action( 'woocommerce_checkout_order_processed', __NAMESPACE__ . '\take_payment' );
	add_action( 'woocommerce_store_api_checkout_order_processed', __NAMESPACE__ . '\take_payment' );
	add_filter( 'woocommerce_get_order_item_totals', __NAMESPACE__ . '\add_card_line', 10, 2 );
}

/**
 * An order was placed: what pays for it is taken, or it is not placed.
 *
 * @param int|\WC_Order $order The order.
 * @throws \Exception Not enough is there any more; WooCommerce shows the message.
 */
function take_payment( $order ): void {
	$order = $order instanceof \WC_Order ? $order : wc_get_order( $order );
	if ( ! $order instanceof \WC_Order ) {
		return;
	}
	$earlier = unpaid_order();
	if ( $earlier && $earlier->get_id() !== $order->get_id() ) {
		give_payment_back( $earlier ); // The buyer tries again with another cart: this order is what he means now.
	}
	if ( ! take( $order ) ) {
		give_payment_back( $order );
		throw new \Exception( esc_html__( 'The points or the gift card have been used elsewhere in the meantime. Please look at the total and try again.', 'counterflow-companion' ) );
	}
}

/**
 * Give the order that this buyer placed and has not paid yet: what it took is his to use again. Null is none.
 */
function unpaid_order(): ?\WC_Order {
	foreach ( array( 'order_awaiting_payment', 'store_api_draft_order' ) as $key ) { // Of the classic checkout, and of the blocks'.
		$id    = WC()->session ? absint( WC()->session->get( $key ) ) : 0;
		$order = $id ? wc_get_order( $id ) : null;
		if ( $order instanceof \WC_Order && $order->has_status( array( 'pending', 'failed', 'checkout-draft' ) ) ) {
			return $order;
		}
	}
	return null;
}

/**
 * Give what the buyer chose: `{points, card}`.
 */
function chosen(): array {
	$kept = WC()->session ? WC()->session->get( FORM ) : null;
	return array(
		'points' => ! empty( $kept['points'] ) && setting( 'point_cents' ) > 0 && is_user_logged_in(),
		'card'   => ! empty( $kept['card'] ) && setting( 'cards_pay' ) ? (string) $kept['card'] : '',
	);
}

/**
 * Take the form that show_form() shows.
 */
function take_form(): void {
	if ( ! isset( $_POST[ FORM ] ) || ! WC()->session ) {
		return;
	}
	$nonce = isset( $_POST['counterflow_nonce'] ) ? sanitize_text_field( wp_unslash( $_POST['counterflow_nonce'] ) ) : '';
	if ( ! wp_verify_nonce( $nonce, FORM ) ) {
		wc_add_notice( __( 'The page was too old. Please try again.', 'counterflow-companion' ), 'error' );
		return;
	}
	$number = isset( $_POST['counterflow_card'] ) ? sanitize_text_field( wp_unslash( $_POST['counterflow_card'] ) ) : '';
	$number = substr( preg_replace( '/\s+/', '', $number ), 0, 32 );
	if ( '' !== $number && ! may_pay( $number ) ) {
		wc_add_notice( __( 'This gift card is not known, or there is nothing on it.', 'counterflow-companion' ), 'error' );
		$number = '';
	}
	WC()->session->set(
		FORM,
		array(
			'points' => ! empty( $_POST['counterflow_points'] ),
			'card'   => $number,
		)
	);
}

/**
 * Forget the buyer's choice with the cart that it was for.
 */
function forget_form(): void {
	if ( WC()->session ) {
		WC()->session->set( FORM, null );
	}
}

/**
 * Say whether a card that a buyer typed may pay. After too many wrong numbers from one address none may, for an hour.
 *
 * @param string $number What he typed.
 */
function may_pay( string $number ): bool {
	$address = isset( $_SERVER['REMOTE_ADDR'] ) ? sanitize_text_field( wp_unslash( $_SERVER['REMOTE_ADDR'] ) ) : '';
	$key     = 'counterflow_wrong_' . md5( $address );
	$wrong   = (int) get_transient( $key );
	if ( $wrong >= WRONG_CARDS ) {
		return false;
	}
	if ( spendable_cents( $number ) > 0 ) {
		return true;
	}
	set_transient( $key, $wrong + 1, HOUR_IN_SECONDS );
	return false;
}

/**
 * Give the cents that a card can pay now.
 *
 * @param string $number The card.
 */
function spendable_cents( string $number ): int {
	$card = look_card_up( $number );
	if ( is_wp_error( $card ) || $card['is_void'] || ( null !== $card['expires'] && $card['expires'] <= gmdate( 'Y-m-d\TH:i:s' ) ) ) {
		return 0;
	}
	$order = unpaid_order();
	$held  = $order && card_of( $order )['number'] === $number ? -moved_so_far( 'gift_card_entries', $order, 'card' )['sum'] : 0;
	return $card['balance'] + $held;
}

/**
 * Give the points that the buyer can use now.
 */
function spendable_points(): int {
	$order = unpaid_order();
	$held  = $order && get_current_user_id() === $order->get_customer_id() ? -moved_so_far( 'points', $order, 'redeem' )['sum'] : 0;
	return points_of( get_current_user_id() ) + $held;
}

/**
 * Show the form: use my points, use a gift card.
 */
function show_form(): void {
	$chosen = chosen();
	$points = setting( 'point_cents' ) > 0 && is_user_logged_in() ? spendable_points() : 0;
	if ( ! $points && ! setting( 'cards_pay' ) ) {
		return;
	}
	?>
	<form method="post" class="counterflow-pay">
		<?php wp_nonce_field( FORM, 'counterflow_nonce' ); ?>
		<?php if ( $points > 0 ) : ?>
			<p><label>
				<input type="checkbox" name="counterflow_points" value="1" <?php checked( $chosen['points'] ); ?>>
				<?php
				/* translators: 1: a number of points, 2: an amount of money. */
				echo wp_kses_post( sprintf( __( 'Use my %1$s points (%2$s)', 'counterflow-companion' ), number_format_i18n( $points ), wc_price( $points * setting( 'point_cents' ) / 100 ) ) );
				?>
			</label></p>
		<?php endif; ?>
		<?php if ( setting( 'cards_pay' ) ) : ?>
			<p><label>
				<?php esc_html_e( 'Gift card', 'counterflow-companion' ); ?>
				<input type="text" name="counterflow_card" maxlength="40" autocomplete="off" value="<?php echo esc_attr( $chosen['card'] ); ?>">
			</label></p>
		<?php endif; ?>
		<p><button type="submit" class="button" name="<?php echo esc_attr( FORM ); ?>" value="1"><?php esc_html_e( 'Use', 'counterflow-companion' ); ?></button></p>
	</form>
	<?php
}

/**
 * Let points pay: a fee below 0, as WooCommerce makes a discount, with the tax that goes with it.
 *
 * @param \WC_Cart $cart The cart.
 */
function add_points_fee( $cart ): void {
	if ( WC()->cart !== $cart || ! chosen()['points'] ) {
		return; // A subscription's later carts are paid later.
	}
	$worth  = (int) setting( 'point_cents' );
	$points = min( spendable_points(), intdiv( cents_of( $cart->get_cart_contents_total() ), $worth ) );
	if ( $points > 0 ) {
		$cart->fees_api()->add_fee(
			array(
				'id'      => POINTS_FEE,
				/* translators: %s: a number of points. */
				'name'    => sprintf( __( '%s points', 'counterflow-companion' ), number_format_i18n( $points ) ),
				'amount'  => -$points * $worth / 100,
				'taxable' => false,
			)
		);
	}
}

/**
 * Give the points that pay for a cart. Rounded up: WooCommerce may have made the fee smaller than we asked.
 *
 * @param \WC_Cart $cart The cart.
 */
function points_of_cart( $cart ): int {
	foreach ( $cart->get_fees() as $fee ) {
		if ( POINTS_FEE === $fee->id ) {
			return (int) ceil( cents_of( -$fee->total ) / max( 1, (int) setting( 'point_cents' ) ) );
		}
	}
	return 0;
}

/**
 * Give the cents that the chosen card pays of a total.
 *
 * @param int $total_cents The total before the card.
 */
function card_share( int $total_cents ): int {
	$number = chosen()['card'];
	return '' === $number ? 0 : max( 0, min( spendable_cents( $number ), $total_cents ) );
}

/**
 * Let a gift card pay: it is money, so it lowers what is to pay, and neither prices nor tax.
 *
 * @param float|string $total The total.
 * @param \WC_Cart     $cart  The cart.
 * @return float|string
 */
function lower_cart_total( $total, $cart ) {
	if ( WC()->cart !== $cart ) {
		return $total;
	}
	$share = card_share( cents_of( $total ) );
	card_cents( $share );
	return $share ? ( cents_of( $total ) - $share ) / 100 : $total;
}

/**
 * Keep what the card pays of this request's cart, and give it.
 *
 * @param int|null $cents The cents; null only asks.
 */
function card_cents( ?int $cents = null ): int {
	static $kept = 0;
	$kept        = $cents ?? $kept;
	return $kept;
}

/**
 * Show what the card pays, above the total.
 */
function show_card_row(): void {
	$share = card_cents();
	if ( $share ) {
		echo '<tr class="counterflow-card"><th>' . esc_html__( 'Gift card', 'counterflow-companion' ) . '</th><td>' . wp_kses_post( wc_price( -$share / 100 ) ) . '</td></tr>';
	}
}

/**
 * Note in an order what will pay for it. The order's total is the cart's: lowered already.
 *
 * @param \WC_Order $order The order, not saved yet.
 */
function note_payment( $order ): void {
	$points = points_of_cart( WC()->cart );
	$cents  = card_cents();
	$order->delete_meta_data( POINTS_META );
	$order->delete_meta_data( CARD_META );
	if ( $points ) {
		$order->update_meta_data( POINTS_META, (string) $points );
	}
	if ( $cents ) {
		$card = array(
			'number' => chosen()['card'],
			'cents'  => $cents,
		);
		$order->update_meta_data( CARD_META, wp_json_encode( array( $card ) ) );
	}
}

/**
 * Note it in an order of the block checkout, whose total is added up from its lines.
 *
 * @param \WC_Order $order The order.
 */
function note_payment_of_blocks( $order ): void {
	note_payment( $order );
	$order->calculate_totals( false );
}

/**
 * Lower an order's total again by what its card pays, after WooCommerce added its lines up.
 *
 * @param bool      $and_taxes Whether taxes were added up, too.
 * @param \WC_Order $order     The order.
 */
function lower_order_total( $and_taxes, $order ): void {
	$cents = $order instanceof \WC_Order ? card_of( $order )['cents'] : 0;
	if ( $cents > 0 ) {
		$order->set_total( max( 0, cents_of( $order->get_total() ) - $cents ) / 100 );
	}
}

/**
 * Show the card in the order's totals: on its page and in its mails. The number's end only.
 *
 * @param array     $lines The lines.
 * @param \WC_Order $order The order.
 */
function add_card_line( $lines, $order ): array {
	$card = $order instanceof \WC_Order ? card_of( $order ) : array( 'cents' => 0 );
	if ( ! $card['cents'] ) {
		return $lines;
	}
	$line  = array(
		'counterflow_card' => array(
			/* translators: %s: the last four characters of a gift card's number. */
			'label' => sprintf( __( 'Gift card …%s:', 'counterflow-companion' ), substr( $card['number'], -4 ) ),
			'value' => wc_price( -$card['cents'] / 100, array( 'currency' => $order->get_currency() ) ),
		),
	);
	$place = array_search( 'order_total', array_keys( $lines ), true );
	$place = false === $place ? count( $lines ) : $place;
	return array_slice( $lines, 0, $place, true ) + $line + array_slice( $lines, $place, null, true );
}
